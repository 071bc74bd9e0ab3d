"""What a party keeps of a job on its own disk, so that it goes on after a crash from its last phase.

    STATE/JOB/inbox/        messages it has acknowledged, one file each: the sender never needs to send them again
    STATE/JOB/once/         what a phase drew or found, secrets included: the same keys are used after a restart
    STATE/JOB/transcript.jsonl   one line for each message it sent: to whom, kind, part, elements, bytes; never content

Random draws are made once and stored before anything that depends on them is sent. So a message that is sent again after
a crash has the same bytes, and its receiver can refuse every second one that differs.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from corpusmill.privacy.secure.wire import Message, decode, encode
from corpusmill.transforms.errors import DatasetError, LockedError
from corpusmill.transforms.storage import write_atomic

TRANSCRIPT = "transcript.jsonl"

_reading = threading.Lock()
"""numpy reads the head of a file by Python's own parser, whose depth of recursion threads share in 3.11: two at a time and one
of them may fail with a SystemError."""


class Store:
    """The folder of one job of one party. One process at a time."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        for name in ("inbox", "once"):
            (self.folder / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)
        self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise LockedError(f"{self.folder}: another process of this party works on the job; wait for it.") from None
        self._noting = threading.Lock()
        self._sent = {(r["to"], r["kind"], r["part"]): r["digest"] for r in self.transcript()}

    def close(self) -> None:
        """Let go of the folder."""
        fcntl.flock(self._lock, fcntl.LOCK_UN)  # also where a process that is just being started has the file
        os.close(self._lock)

    def once(self, name: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """The arrays that `make` gave the first time, in this process or one before it."""
        path = self.folder / "once" / f"{name}.npz"
        if not path.exists():
            buffer = io.BytesIO()
            np.savez(buffer, **make())  # type: ignore[arg-type]
            write_atomic(str(path), buffer.getvalue())
        try:
            with _reading, np.load(path, allow_pickle=False) as file:
                return {k: file[k] for k in file.files}
        except (OSError, ValueError, KeyError) as error:
            raise DatasetError(f"{path}: cannot be read ({error}). Start the job anew under another name.") from error

    def has(self, name: str) -> bool:
        """Whether `once` was called with this name."""
        return (self.folder / "once" / f"{name}.npz").exists()

    def drop(self, name: str) -> None:
        """Remove what `once` keeps under a name: nothing that follows depends on it."""
        (self.folder / "once" / f"{name}.npz").unlink(missing_ok=True)

    def forget_secrets(self) -> None:
        """Remove all but results and transcript: a finished job leaves no key behind."""
        shutil.rmtree(self.folder / "once", ignore_errors=True)
        shutil.rmtree(self.folder / "inbox", ignore_errors=True)

    # messages

    def keep(self, message: Message) -> None:
        """Store a message that came. After this it may be acknowledged."""
        write_atomic(str(self._file(message.name)), encode(message))

    def load(self, name: tuple[str, str, int]) -> Message:
        """A message that was kept."""
        path = self._file(name)
        with path.open("rb") as file:

            def read(n: int) -> bytes:
                data = file.read(n)
                if len(data) < n:
                    raise DatasetError(f"{path}: is cut short. Start the job anew under another name.")
                return data

            return decode(read, path.stat().st_size, lambda header: None)

    def remove(self, name: tuple[str, str, int]) -> None:
        """Remove a message that was kept."""
        self._file(name).unlink(missing_ok=True)

    def kept(self) -> list[tuple[str, str, int]]:
        """Names of all messages that came."""
        names = []
        for path in (self.folder / "inbox").iterdir():
            words = path.name.split("+")
            if len(words) == 3 and not path.name.startswith("."):
                names.append((words[0], words[1], int(words[2])))
        return names

    def _file(self, name: tuple[str, str, int]) -> Path:
        return self.folder / "inbox" / f"{name[0]}+{name[1]}+{name[2]}"

    # what was sent

    def sent(self, to: str, kind: str, part: int) -> bool:
        """Whether `to` has acknowledged this message."""
        return (to, kind, part) in self._sent

    def note(self, message: Message, wire_bytes: int, digest: str) -> None:
        """A line of the transcript: the message was acknowledged."""
        line: dict[str, Any] = {
            "at": round(time.time(), 3),
            "to": message.to,
            "kind": message.kind,
            "part": message.part,
            "count": len(message.array),
            "bytes": wire_bytes,
            "digest": digest,
        }
        with self._noting, (self.folder / TRANSCRIPT).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self._sent[message.to, message.kind, message.part] = digest

    def transcript(self) -> list[dict[str, Any]]:
        """All whole lines of the transcript."""
        path = self.folder / TRANSCRIPT
        if not path.exists():
            return []
        data = path.read_bytes()
        complete = data[: data.rfind(b"\n") + 1]
        if len(complete) < len(data):  # a crash cut the last line: the message may not have been acknowledged
            os.truncate(path, len(complete))
        return [json.loads(line) for line in complete.splitlines()]
