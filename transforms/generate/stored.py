"""Answers of models in an object store, for datasets that lie there: an object an answer, named by what was asked."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Sequence

from corpusmill.transforms import storage
from corpusmill.transforms.generate.cache import RequestCache


class StoredCache(RequestCache):
    """The cache below the URI `path`. Many processes may use it: an answer is written once, whole, and never changed."""

    def __init__(self, path: str) -> None:
        self.path, self.asked, self.found = path, 0, 0
        self._folder = path.removesuffix(".sqlite")

    def _name(self, payload: bytes) -> str:
        digest = hashlib.sha256(payload).hexdigest()
        return f"{self._folder}/{digest[:2]}/{digest}.json"

    def get(self, payloads: Sequence[bytes]) -> dict[bytes, str]:
        """The known answers among these."""
        entries = storage.each(lambda p: _read(self._name(p)), payloads, self.path)
        return {p: e[1] for p, e in zip(payloads, entries, strict=True) if e is not None}

    def put(self, entries: Iterable[tuple[bytes, str, str]]) -> None:
        """Keep (payload, record, answer) entries."""

        def keep(entry: tuple[bytes, str, str]) -> None:
            payload, record, answer = entry
            storage.create_exclusive(self._name(payload), json.dumps([record, answer]).encode())

        storage.each(keep, entries, self.path)

    def _all(self) -> dict[str, tuple[str, str]]:
        names = [e.uri for e in storage.below(self._folder)]
        entries = zip(names, storage.each(_read, names, self.path), strict=True)
        return {name: entry for name, entry in entries if entry is not None}

    def forget(self, records: Iterable[str]) -> int:
        """Delete the entries of these records; returns how many there were."""
        gone = set(records)
        names = [name for name, (record, _) in self._all().items() if record in gone] if gone else []
        storage.each(storage.remove, names, self.path)
        return len(names)

    def records(self) -> list[str]:
        """The ids of the records that were asked for."""
        return sorted({record for record, _ in self._all().values()})

    def __len__(self) -> int:
        return sum(1 for _ in storage.below(self._folder))

    def close(self) -> None:
        """Nothing is held open."""


def _read(name: str) -> tuple[str, str] | None:
    with contextlib.suppress(FileNotFoundError, ValueError):
        record, answer = json.loads(storage.read_bytes(name))
        return record, answer
    return None
