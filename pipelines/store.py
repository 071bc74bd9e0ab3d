"""Results of finished units, by what they were computed from: what is there is never computed twice.

A unit's **request** is a digest of (kind of work, parameters, requests it builds on): known before anything runs. Its
**outcome** is a small JSON file stored under the request, written last and at once, so that an outcome means that every
file it names is whole. Resuming after a crash, retrying and refreshing are all the same look-up.

Layout, below `<dataset>/.corpusmill/`: `done/<aa>/<request>.json`, `work/<aa>/<content>.<what>`, `plans/<digest>.json`,
`listing.json` (digests of source files by path, size and time), `used/<work>.json` (what a snapshot of this work was made
from: see `pipelines.gc`), `recipe.json` (where the recipe's folder is), `lock`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

from transforms.errors import LockedError
from transforms.storage import write_atomic

ENGINE_VERSION = 2
"""Raised when the engine itself would give other bytes for the same recipe."""


def request_of(*parts: Any) -> str:
    """Hexadecimal digest of JSON-able parts."""
    data = json.dumps([ENGINE_VERSION, *parts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(data.encode()).hexdigest()[:40]


class Store:
    """The results of one dataset directory."""

    def __init__(self, dataset: str) -> None:
        self.dataset = dataset
        self.root = os.path.join(dataset, ".corpusmill")

    def work(self, content: str, what: str) -> str:
        """Path, relative to the dataset, of a file that holds part of a result."""
        return os.path.join(".corpusmill", "work", content[:2], f"{content}.{what}")

    def path(self, relative: str) -> str:
        """Full path of a path relative to the dataset."""
        return os.path.join(self.dataset, relative)

    def _outcome(self, request: str) -> str:
        return os.path.join(self.root, "done", request[:2], f"{request}.json")

    def outcome(self, request: str) -> dict[str, Any] | None:
        """The outcome of a finished unit, or None. One whose files are gone counts as unfinished."""
        try:
            with open(self._outcome(request), encoding="utf-8") as f:
                found: dict[str, Any] = json.load(f)
        except FileNotFoundError:
            return None
        except ValueError:  # torn by a crash of the machine: the unit runs again
            return None
        present = all(os.path.exists(self.path(f["path"])) for f in found.get("files", {}).values())
        return found if present else None

    def done(self, request: str) -> bool:
        """Whether a unit's outcome exists, without reading it."""
        return os.path.exists(self._outcome(request))

    def finish(self, request: str, outcome: dict[str, Any]) -> None:
        """Store an outcome: the last write of a unit."""
        self._write(self._outcome(request), outcome)

    def save_plan(self, plan: dict[str, Any]) -> str:
        """Store what units of one stage share; returns its digest."""
        data = json.dumps(plan, sort_keys=True).encode()
        digest = hashlib.sha256(data).hexdigest()[:40]
        path = os.path.join(self.root, "plans", f"{digest}.json")
        if not os.path.exists(path):
            self._write(path, plan)
        return digest

    def load_plan(self, digest: str) -> dict[str, Any]:
        """What `save_plan` stored."""
        with open(os.path.join(self.root, "plans", f"{digest}.json"), encoding="utf-8") as f:
            plan: dict[str, Any] = json.load(f)
        return plan

    def listing(self) -> dict[str, str]:
        """Digests of source files seen before, by "path|size|stamp"."""
        try:
            with open(os.path.join(self.root, "listing.json"), encoding="utf-8") as f:
                found: dict[str, str] = json.load(f)
                return found
        except (FileNotFoundError, ValueError):
            return {}

    def save_listing(self, digests: dict[str, str]) -> None:
        """Replace the remembered digests."""
        self._write(os.path.join(self.root, "listing.json"), digests)

    def announce(self, note: dict[str, Any] | None) -> None:
        """Say what runs now, or that nothing does; any process may ask."""
        path = os.path.join(self.root, "running.json")
        if note is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        else:
            self._write(path, note)

    def announced(self) -> dict[str, Any] | None:
        """The last note of `announce`."""
        try:
            with open(os.path.join(self.root, "running.json"), encoding="utf-8") as f:
                note: dict[str, Any] = json.load(f)
                return note
        except (FileNotFoundError, ValueError):
            return None

    def note_failure(self, kind: str, message: str) -> None:
        """Keep the first error of a run for the process that waits for it."""
        path = os.path.join(self.root, "failed.json")
        if not os.path.exists(path):
            self._write(path, [kind, message])

    def take_failure(self) -> tuple[str, str] | None:
        """(class, message) of the first error noted, once."""
        path = os.path.join(self.root, "failed.json")
        try:
            with open(path, encoding="utf-8") as f:
                kind, message = json.load(f)
        except (FileNotFoundError, ValueError):
            return None
        os.unlink(path)
        return kind, message

    def _write(self, path: str, value: Any) -> None:
        # not forced to disk: what a crash of the machine tears is found torn, and made again
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_atomic(path, json.dumps(value, sort_keys=True).encode(), fsync=False)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the dataset's write lock; the operating system frees it when the holder dies.

        Raises:
            LockedError: another process holds it; the message names that process.
        """
        os.makedirs(self.root, exist_ok=True)
        path = os.path.join(self.root, "lock")
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(handle, 4096).decode(errors="replace").strip() or "an unnamed process"
                raise LockedError(
                    f"{self.dataset} is being written by {holder}. Wait for it to end, or stop it; the lock frees itself."
                ) from None
            os.ftruncate(handle, 0)
            since = time.strftime("%Y-%m-%d %H:%M:%S")
            os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()} since {since}".encode(), 0)
            yield
        finally:
            os.close(handle)
