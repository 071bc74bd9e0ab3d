"""A worker process of `corpusmill.pipelines.runners.processes`: Beam's own, which says what matters, and ends when its parent
does."""

from __future__ import annotations

import logging
import os
import sys
import threading

from corpusmill.pipelines.runners.base import hush


def main() -> None:
    """Work until the runner has no more of it."""
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    said = logging.StreamHandler()
    said.setLevel(logging.WARNING)
    logging.getLogger().addHandler(said)
    hush()
    from apache_beam.runners.worker import sdk_worker, sdk_worker_main

    # the trace of what a unit raised goes to the runner, which tells it
    sdk_worker.print = lambda *words, **where: None  # type: ignore[attr-defined]
    sdk_worker_main.main(sys.argv)
    # Readers that an error left open are not closed while the interpreter takes its modules apart: their `except` clauses would
    # name classes that are gone.
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


def _end_with_parent() -> None:
    """End this process when the other end of its standard input is closed, which a dead parent's is."""
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    main()
