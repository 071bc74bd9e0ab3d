"""Stores the results of finished tasks under what they were computed from, so that nothing is computed twice.

A task's **request** is a digest of the kind of work, its parameters and the requests that it builds on. It is known
before anything runs. The **outcome** is a small JSON file stored under the request. It is written last and atomically,
so every file that it names is whole. Resuming after a crash, retrying and refreshing are all the same look-up.

Layout, below `<dataset>/.corpusmill/`: `done/<aa>/<request>.json` (outcomes), `work/<aa>/<content>.<what>`,
`plans/<digest>.json` (task lists), `listing.json` (digests of source files by path, size and time), `used/<work>.json` (what a
snapshot of this work was made from: see `corpusmill.pipelines.operations.gc`), `runs/<id>.json`
(`corpusmill.pipelines.dataset.submissions`), `recipe.json` (where the recipe's folder is), `lock`.

Everything that one task writes and another reads is checked when it is read: records by their checksum (`sealed`), task
lists by their name, files of batches by their digests. A damaged record counts as missing, and its result is made
again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypedDict

from corpusmill.pipelines.dataset import lock
from corpusmill.pipelines.dataset.outcome import Outcome
from corpusmill.pipelines.dataset.sealed import seal, unseal
from corpusmill.pipelines.dataset.task_list import TaskList
from corpusmill.transforms import storage
from corpusmill.transforms.errors import DamagedWorkError

ENGINE_VERSION = 4
"""Raised when the engine itself would give other bytes for the same recipe."""
MANY = 64
"""From this many tasks on, one listing of an object store replaces a request for each outcome."""
_known: dict[str, dict[str, Outcome]] = {}
"""Outcomes that were read from object stores, by dataset and request. They never change while the lock is held."""


def request_of(*parts: Any) -> str:
    """Hexadecimal digest of JSON-able parts."""
    data = json.dumps([ENGINE_VERSION, *parts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(data.encode()).hexdigest()[:40]


def _whole(path: str, size: int | None) -> bool:
    """Whether a file exists with all of its bytes. A power loss can leave a name without the bytes that were not
    flushed. In an object store, every existing object is whole."""
    if size is None or not storage.is_local(path):
        return storage.has_file(path)
    try:
        return storage.stat(path).size == size
    except (FileNotFoundError, NotADirectoryError):
        return False


class Used(TypedDict):
    """What a snapshot was made from: digests of task lists, and the requests of outcomes."""

    plans: list[str]
    outcomes: list[str]


class Store:
    """The results of one dataset directory."""

    def __init__(self, dataset: str) -> None:
        self.dataset = dataset
        self.root = os.path.join(dataset, ".corpusmill")

    def work(self, content: str, what: str) -> str:
        """Path, relative to the dataset, of a file of a result."""
        return os.path.join(".corpusmill", "work", content[:2], f"{content}.{what}")

    def path(self, relative: str) -> str:
        """Full path of a path relative to the dataset."""
        return os.path.join(self.dataset, relative)

    def _outcome(self, request: str) -> str:
        return os.path.join(self.root, "done", request[:2], f"{request}.json")

    def outcome(self, request: str) -> Outcome | None:
        """The outcome of a finished task, or None. One whose files are gone counts as unfinished."""
        return self._whole(self.read_outcome(request), None)

    def read_outcome(self, request: str) -> Outcome | None:
        """The stored outcome of a task, without a check of its files; None if there is none, or it is damaged."""
        record: Any = self._read(self._outcome(request))
        return record

    def _whole(self, outcome: Outcome | None, listed: set[str] | None) -> Outcome | None:
        """The outcome, if every file that it names exists or is in `listed`."""
        if outcome is None:
            return None
        files = outcome.get("files", {}).values()
        if listed is not None:
            return outcome if all(f["path"] in listed for f in files) else None
        return outcome if all(_whole(self.path(f["path"]), f.get("size")) for f in files) else None

    def outcomes(self, requests: Sequence[str]) -> list[Outcome | None]:
        """`outcome` of each. In an object store, several are read at a time and kept in memory."""
        if storage.is_local(self.dataset):
            return [self.outcome(r) for r in requests]
        known = _known.setdefault(self.dataset, {})
        missing = [r for r in dict.fromkeys(requests) if r not in known]
        listed: set[str] | None = None
        if len(missing) > MANY:  # a listing of a thousand files costs as much as one read
            done = {self.relative(e.uri) for e in storage.below(storage.join(self.root, "done"))}
            missing = [r for r in missing if self.relative(self._outcome(r)) in done]
            listed = (
                {self.relative(e.uri) for e in storage.below(storage.join(self.root, "work"))} if missing else set()
            )
        found = storage.each(lambda r: self._whole(self.read_outcome(r), listed), missing, self.dataset)
        known.update({r: o for r, o in zip(missing, found, strict=True) if o is not None})
        return [known.get(r) for r in requests]

    def relative(self, path: str) -> str:
        """A full path, relative to the dataset."""
        return path[len(self.dataset) :].lstrip("/")

    def forget_known(self) -> None:
        """Forget what was read, because another process may have written or removed files."""
        _known.pop(self.dataset, None)

    def done(self, request: str) -> bool:
        """Whether a task's outcome exists, without reading it."""
        return storage.has_file(self._outcome(request))

    def undone(self, requests: Iterable[str]) -> set[str]:
        """The requests without an outcome."""
        waiting = list(requests)
        if storage.is_local(self.dataset) or len(waiting) <= MANY:
            there = storage.each(self.done, waiting, self.dataset)
            return {r for r, done in zip(waiting, there, strict=True) if not done}
        have = {e.uri.rpartition("/")[2] for e in storage.below(storage.join(self.root, "done"))}
        return {r for r in waiting if f"{r}.json" not in have}

    def finish(self, request: str, outcome: Outcome) -> None:
        """Store an outcome with the sizes of its files. This is the last write of a task."""
        for file in outcome.get("files", {}).values():
            if "size" not in file and storage.is_local(self.dataset):
                file["size"] = storage.stat(self.path(file["path"])).size
        self._write(self._outcome(request), dict(outcome))

    def save_task_list(self, tasks: TaskList) -> str:
        """Store the task list of a stage; returns its digest."""
        data = json.dumps(tasks, sort_keys=True).encode()
        digest = hashlib.sha256(data).hexdigest()[:40]
        path = self._task_list(digest)
        if not (_whole(path, len(data)) and (not storage.is_local(path) or storage.read_bytes(path) == data)):
            storage.makedirs(os.path.dirname(path))
            storage.write_atomic(path, data, fsync=False)
        return digest

    def _task_list(self, digest: str) -> str:
        return os.path.join(self.root, "plans", f"{digest}.json")

    def load_task_list(self, digest: str) -> TaskList:
        """Load the task list of a stage.

        Raises:
            DamagedWorkError: it is not there, or damaged.
        """
        path = self._task_list(digest)
        try:
            data = storage.read_bytes(path)
        except FileNotFoundError as error:
            raise DamagedWorkError(path, "it is not there") from error
        if hashlib.sha256(data).hexdigest()[:40] != digest:
            raise DamagedWorkError(path, "its bytes differ from the digest in its name")
        tasks: TaskList = json.loads(data)
        return tasks

    def listing(self) -> dict[str, str]:
        """Digests of source files seen before, by `corpusmill.transforms.sources.files.listed_as`."""
        record = self._read(os.path.join(self.root, "listing.json"))
        return record["digests"] if record else {}

    def save_listing(self, digests: dict[str, str]) -> None:
        """Replace the remembered digests."""
        self._write(os.path.join(self.root, "listing.json"), {"digests": digests})

    def announce(self, note: dict[str, Any] | None) -> None:
        """Record for other processes what runs now, or that nothing does. Errors are ignored: the work itself fails
        with a better one."""
        path = os.path.join(self.root, "running.json")
        with contextlib.suppress(OSError):
            if note is None:
                storage.remove(path)
            else:
                self._write(path, note)

    def announced(self) -> dict[str, Any] | None:
        """The last record of `announce`."""
        return self._read(os.path.join(self.root, "running.json"))

    def note_part(self, request: str, rows: int, size: int) -> None:
        """Say how far a task is that takes long: rows and bytes of text that it has read. Local disks only."""
        if storage.is_local(self.root):
            with contextlib.suppress(OSError):  # the work itself fails with a better error
                self._write(os.path.join(self.root, "parts", f"{request}.json"), {"rows": rows, "bytes": size})

    def parts(self, requests: Iterable[str]) -> dict[str, tuple[int, int]]:
        """What tasks that are not done have noted: request -> (rows, bytes of text)."""
        folder = os.path.join(self.root, "parts")
        if not storage.is_local(self.root) or not os.path.isdir(folder):
            return {}
        found = {r: self._read(os.path.join(folder, f"{r}.json")) for r in requests}
        return {r: (int(note["rows"]), int(note["bytes"])) for r, note in found.items() if note}

    def forget_parts(self) -> None:
        """Remove the notes of `note_part`."""
        folder = os.path.join(self.root, "parts")
        if storage.is_local(self.root) and os.path.isdir(folder):
            for name in os.listdir(folder):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(folder, name))

    def note_failure(self, kind: str, message: str) -> None:
        """Record the first error of a run for the process that waits for it."""
        path = os.path.join(self.root, "failed.json")
        if not storage.has_file(path):
            self._write(path, {"kind": kind, "message": message})

    def take_failure(self) -> tuple[str, str] | None:
        """Return and remove (class, message) of the first recorded error."""
        path = os.path.join(self.root, "failed.json")
        record = self._read(path)
        if record is None:
            return None
        storage.remove(path)
        return record["kind"], record["message"]

    def save_used(self, work: str, used: Used) -> None:
        """Record what a snapshot of this work was made from, before it is committed."""
        self._write(self.used_path(work), dict(used), fsync=True)

    def load_used(self, work: str) -> Used | None:
        """What a snapshot of this work was made from; None if it is unknown, or the record is damaged."""
        record: Any = self._read(self.used_path(work))
        return record

    def used_path(self, work: str) -> str:
        """The file of `save_used`."""
        return os.path.join(self.root, "used", f"{work}.json")

    def save_base(self, folder: str) -> None:
        """Record where the recipe's folder is, so that `forget` can run the recipe again."""
        self._write(os.path.join(self.root, "recipe.json"), {"base_dir": folder}, fsync=True)

    def load_base(self) -> str | None:
        """Where the recipe's folder is; None if it is unknown, or the record is damaged."""
        record = self._read(os.path.join(self.root, "recipe.json"))
        return record["base_dir"] if record else None

    def _read(self, path: str) -> dict[str, Any] | None:
        """A sealed record; None if it is missing, torn by a crash of the machine, or damaged. It is then made again."""
        try:
            return unseal(storage.read_bytes(path))
        except (FileNotFoundError, ValueError):
            return None

    def _write(self, path: str, record: dict[str, Any], fsync: bool = False) -> None:
        # mostly not flushed: the checksum shows a record that a crash of the machine tore, and it is made again
        storage.makedirs(os.path.dirname(path))
        storage.write_atomic(path, seal(record), fsync=fsync)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the dataset's write lock. It is released when the holder dies.

        Raises:
            LockedError: another process holds it; the message names that process.
            UnfitStoreError: the place cannot hold a dataset.
        """
        with lock.held(self.dataset, self.root):
            self.forget_known()
            yield
