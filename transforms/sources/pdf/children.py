"""Processes that read PDF files for this one. pdfium is C++ that parses what strangers wrote: a crash in it, a loop without end or
a file that takes all memory ends such a process, and costs one file."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from corpusmill.transforms.errors import EngineError, MissingDependencyError

SECONDS = 120
"""Processor time that one file may take."""
MEMORY = 3 << 30
"""Bytes of address space that a process may take beside the file."""
_IDLE = 600
"""Seconds without an answer after which a process that does not use its processor time is given up."""
_idle: list[Child] = []
_lock = threading.Lock()


class Child:
    """A process that answers one request at a time."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        command = [sys.executable, "-m", "corpusmill.transforms.sources.pdf.child"]
        self.owner = os.getpid()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
            start_new_session=True,
        )  # fmt: skip
        if self._answer(_IDLE) is None:
            self.close()
            raise EngineError("the process that reads PDF files does not start; a run of it on its own shows why: "
                              f"{' '.join(command)}")  # fmt: skip

    def ask(self, data: bytes, longest: int, furniture: bool, seconds: int = SECONDS) -> dict[str, Any]:
        """The answer about a file (see `child.read`); a process that dies answers with a reason, too."""
        request = {
            "size": len(data), "longest": longest, "furniture": furniture, "seconds": seconds, "memory": MEMORY + 2 * len(data),
        }  # fmt: skip
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n" + data)
            self._process.stdin.flush()
            answer = self._answer(_IDLE + 10 * seconds)
        except BrokenPipeError:
            answer = None
        return answer if answer is not None else self._death(seconds)

    def _answer(self, wait: float) -> dict[str, Any] | None:
        """The next answer, or None if the process ends or is silent for `wait` seconds."""
        assert self._process.stdout is not None
        chunks: list[bytes] = []
        out, end = self._process.stdout.fileno(), time.monotonic() + wait
        while not chunks or not chunks[-1].endswith(b"\n"):
            if not select.select([out], [], [], max(0.0, end - time.monotonic()))[0]:
                self._process.kill()
                return None
            chunk = os.read(out, 1 << 20)
            if not chunk:
                return None
            chunks.append(chunk)
        answer: dict[str, Any] = json.loads(b"".join(chunks))
        return answer

    def _death(self, seconds: int) -> dict[str, Any]:
        self.close()
        number = -(self._process.returncode or 0)
        if number in (signal.SIGXCPU, signal.SIGKILL):
            return {"reason": "pdf-limits", "detail": f"takes more than {seconds} seconds or too much memory to read"}
        name = signal.Signals(number).name if number in set(signal.Signals) else f"exit code {-number}"
        return {"reason": "pdf-crash", "detail": f"ends the process that reads it ({name})"}

    @property
    def usable(self) -> bool:
        """Whether it still runs, and is ours: a fork of this process has the same pipes."""
        return self.owner == os.getpid() and self._process.poll() is None

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        if self.owner == os.getpid():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
                return
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def child() -> Iterator[Child]:
    """A process for the files of one split; it is kept for the next one.

    Raises:
        MissingDependencyError: pypdfium2 is not installed.
    """
    from importlib.util import find_spec

    if find_spec("pypdfium2") is None:
        raise MissingDependencyError(
            "PDF files need the package pypdfium2. Install it with: pip install 'corpusmill[documents]'."
        )
    with _lock:
        while _idle and not _idle[-1].usable:
            _idle.pop().close()
        held = _idle.pop() if _idle else None
    held = held or Child()
    try:
        yield held
    finally:
        if held.usable:
            with _lock:
                _idle.append(held)
