"""Keeps the answers of models, so that a request is never sent twice, not even after `kill -9`.

One SQLite file: several processes and threads may use it, each answer is committed before the next is asked for, and looking
one up reads one page. An entry is (digest of the payload, id of the record, answer); the record's id is there so that a
document that is taken out takes its entries with it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from corpusmill.transforms import storage
from corpusmill.transforms.errors import BadFileError

if TYPE_CHECKING:
    from corpusmill.transforms.generate.model import Model, Request

REQUESTS = "requests.sqlite"
"""Name of a dataset's cache, in its folder of work."""
CHUNK = 64
"""Requests of a local model between two commits: those under way when a run is killed. A text API's are kept one by one."""


class RequestCache:
    """The cache in the file `path`, which is made if it is absent. `asked` counts requests that went to a model.

    Raises:
        BadFileError: the file is no request cache.
    """

    _open: ClassVar[dict[tuple[int, str], RequestCache]] = {}
    _lock: ClassVar[threading.Lock] = threading.Lock()
    _counting: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, path: str) -> None:
        self.path, self.asked, self.found = path, 0, 0
        self._mutex = threading.RLock()
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        try:
            self._db = sqlite3.connect(path, timeout=120, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA secure_delete = ON")  # forgotten entries are overwritten in the file
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS answers (payload BLOB PRIMARY KEY, record TEXT, answer TEXT) WITHOUT ROWID"
            )
            self._db.execute("CREATE INDEX IF NOT EXISTS by_record ON answers (record)")
        except sqlite3.DatabaseError as error:
            raise BadFileError(
                path, f"is no request cache ({error})", "delete it; answers are then asked for again"
            ) from None

    @classmethod
    def at(cls, path: str) -> RequestCache:
        """The process's one cache of this path (a forked process opens its own)."""
        with cls._lock:
            key = (os.getpid(), os.path.abspath(path))
            if key not in cls._open:
                cls._open[key] = _made(path)
            return cls._open[key]

    def get(self, payloads: Sequence[bytes]) -> dict[bytes, str]:
        """The known answers among these."""
        known: dict[bytes, str] = {}
        with self._mutex:
            for i in range(0, len(payloads), 500):
                part = payloads[i : i + 500]
                marks = ",".join("?" * len(part))
                known.update(self._db.execute(f"SELECT payload, answer FROM answers WHERE payload IN ({marks})", part))
        return known

    @contextlib.contextmanager
    def _whole(self) -> Iterator[None]:
        """Makes the changes of this block all or none."""
        with self._mutex:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._db.in_transaction:  # SQLite itself ends one where the disk is full
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def put(self, entries: Iterable[tuple[bytes, str, str]]) -> None:
        """Keep (payload, record, answer) entries, all or none."""
        with self._whole():
            self._db.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", list(entries))

    def _count(self, asked: int = 0, found: int = 0) -> None:
        with self._counting:  # two threads could add at the same time
            self.asked, self.found = self.asked + asked, self.found + found

    def complete(self, model: Model, requests: Sequence[Request]) -> list[str]:
        """Answers of `model` to `requests`: known ones from here, the others asked for once each and kept."""
        payloads = [request.payload(model.digest) for request in requests]
        known = self.get(list(dict.fromkeys(payloads)))
        new: dict[bytes, Request] = {}
        for payload, request in zip(payloads, requests):
            if payload not in known:
                new.setdefault(payload, request)
        self._count(found=len(requests) - len(new))
        pending = list(new.items())
        each = getattr(model, "complete_each", None)  # each answer is kept as soon as it is paid for
        if each is not None and pending:

            def keep(place: int, answer: str) -> None:
                payload, request = pending[place]
                self.put([(payload, request.record, answer)])
                known[payload] = answer

            self._count(asked=len(pending))
            each([request for _, request in pending], keep)
            return [known[payload] for payload in payloads]
        for i in range(0, len(pending), CHUNK):
            part = pending[i : i + CHUNK]
            self._count(asked=len(part))
            answers = model.complete([request for _, request in part])
            self.put([(payload, request.record, answer) for (payload, request), answer in zip(part, answers)])
            known.update({payload: answer for (payload, _), answer in zip(part, answers)})
        return [known[payload] for payload in payloads]

    def forget(self, records: Iterable[str]) -> int:
        """Delete the entries of these records; returns how many there were. What they held is overwritten in the file."""
        with self._whole():
            before = self._db.total_changes
            self._db.executemany("DELETE FROM answers WHERE record = ?", [(r,) for r in records])
            return self._db.total_changes - before

    def records(self) -> list[str]:
        """The ids of the records that were asked for."""
        with self._mutex:
            return [row[0] for row in self._db.execute("SELECT DISTINCT record FROM answers ORDER BY record")]

    def __len__(self) -> int:
        with self._mutex:
            return int(self._db.execute("SELECT count(*) FROM answers").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        with self._mutex, self._lock:
            self._db.close()
            for key in [k for k, v in self._open.items() if v is self]:
                del self._open[key]


def _made(path: str) -> RequestCache:
    if storage.is_local(path):
        return RequestCache(path)
    from corpusmill.transforms.generate.stored import StoredCache

    return StoredCache(path)


def request_cache(path: str) -> RequestCache | None:
    """A cache of its own, to be closed; None if nothing was ever asked."""
    there = os.path.exists(path) if storage.is_local(path) else storage.is_dir(path.removesuffix(".sqlite"))
    return _made(path) if there else None
