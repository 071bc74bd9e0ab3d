"""A seekable file over an object, read in ranges: a window that grows while reads follow each other."""

from __future__ import annotations

import io
from typing import Any

from corpusmill.transforms.errors import StoreError
from corpusmill.transforms.storage.objects import Objects

FIRST, MOST = 64 << 10, 8 << 20
"""Bytes that a read asks for at least, and that a row of reads that follow each other asks for at most."""
NEAR = 64 << 10
"""A read that begins within so many bytes behind the last window follows it."""


class Ranged(io.RawIOBase):
    """Reads an object from its store.

    Opening it is one request, which brings its end, where Parquet and Arrow have their index; a scan from front to back is one
    for each 8 MB, a jump one for what is read. All reads are of the version that was opened, where the store can say so.
    """

    def __init__(self, store: Objects, uri: str) -> None:
        super().__init__()
        self._store, self.uri = store, uri
        self._window, self.size, self._version = store.tail(uri, FIRST)
        self._begin, self._at, self._step = self.size - len(self._window), 0, FIRST

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; nothing is fetched."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"{self.uri}: no byte {base + offset}")
        self._at = base + offset
        return self._at

    def read(self, n: int | None = -1) -> bytes:
        """The next n bytes; fewer only at the end."""
        end = self.size if n is None or n < 0 else min(self._at + n, self.size)
        if end <= self._at:
            return b""
        begin, self._at = self._at, end
        held = self._begin + len(self._window)
        if begin >= self._begin and end <= held:
            return self._window[begin - self._begin : end - self._begin]
        head = self._window[begin - self._begin :] if self._begin <= begin < held else b""
        wanted = begin + len(head)
        follows = bool(self._window) and held <= wanted <= held + NEAR
        self._step = min(2 * self._step, MOST) if follows else FIRST
        fetch = max(end, min(wanted + self._step, self.size))
        data = self._store.get(self.uri, wanted, fetch, self._version)
        if len(data) != fetch - wanted:
            raise StoreError(self.uri, f"{len(data)} bytes came for {wanted} to {fetch}", "run the same command again")
        self._begin, self._window = wanted, data
        return head + data[: end - wanted]

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        """The rest."""
        return self.read(-1)

    def hold(self, begin: int, end: int) -> None:
        """Fetch a range that will be read in many pieces."""
        held = self._begin + len(self._window)
        if begin < self._begin or end > held:
            self._begin, self._window = begin, self._store.get(self.uri, begin, min(end, self.size), self._version)
