"""A worker process of `corpusmill.pipelines.runners.processes`: Beam's own worker with less logging. It ends with its
parent."""

from __future__ import annotations

import logging
import os
import sys
import threading

from corpusmill.pipelines.runners.base import hush


def main() -> None:
    """Work until the runner has no more work."""
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    said = logging.StreamHandler()
    said.setLevel(logging.WARNING)
    logging.getLogger().addHandler(said)
    hush()
    from apache_beam.runners.worker import sdk_worker, sdk_worker_main

    # the runner gets and reports the traceback of a failed task
    sdk_worker.print = lambda *words, **where: None  # type: ignore[attr-defined]
    sdk_worker_main.main(sys.argv)
    # Readers that an error left open are not closed while the interpreter takes its modules apart: their `except` clauses would
    # name classes that are gone.
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


def _end_with_parent() -> None:
    """End this process when its standard input is closed, because then the parent is dead."""
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    main()
