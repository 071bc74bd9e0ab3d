"""Lets one run at a time write an output folder. Two would delete each other's checkpoints and lose metrics."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from corpusmill.transforms.errors import LockedError
from corpusmill.transforms.storage.local import naming

NAME = ".lock"


@contextlib.contextmanager
def held(output: str | Path, rank: int = 0) -> Iterator[None]:
    """Hold the lock of an output folder, which is made if missing. Only the first process of a run takes the lock.

    The operating system releases the lock when its holder dies. Raises LockedError with the holder's name if another
    run has it.
    """
    if rank:
        yield
        return
    folder = Path(output)
    with naming(str(folder / NAME)):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 4096, 0).decode(errors="replace").strip() or "another process"
            raise LockedError(
                f"{output}: {holder} trains into this folder. Wait for it to end, or stop it; or name another `output`."
            ) from None
        started = time.strftime("%Y-%m-%d %H:%M:%S")
        with naming(str(folder / NAME)):
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()} since {started}".encode(), 0)
        yield
    finally:
        os.close(handle)
