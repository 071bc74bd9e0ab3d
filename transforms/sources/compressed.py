"""Plain and compressed bytes as one stream that never ends short in silence: cut .gz, .zst, .bz2 and .xz are errors."""

from __future__ import annotations

import contextlib
import lzma
import zlib
from collections.abc import Iterator
from typing import Any, Protocol

import pyarrow as pa

from corpusmill.transforms import storage
from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.sources.files import compression_of
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.opened import fault, open_file

FAULTS = (pa.ArrowException, OSError, ValueError, EOFError, MemoryError, lzma.LZMAError, zlib.error)


class Stream(Protocol):
    """What `open_stream` gives: bytes from the front to the back."""

    def read(self, n: int) -> bytes:
        """At most n bytes, and none only at the end."""


class _UpTo:
    """The first bytes of a file, up to the size at which it was listed: others may append to it."""

    closed = False

    def __init__(self, f: Any, size: int) -> None:
        self._f, self._left = f, size

    def read(self, n: int = -1) -> bytes:
        data: bytes = self._f.read(self._left if n < 0 else min(n, self._left))
        self._left -= len(data)
        return data

    def close(self) -> None:
        """Nothing: whoever opened the file closes it."""


class _Members:
    """Compressed streams one after the other, as gzip and xz files may hold them, padded with zeros or not.

    `lzma.open` takes a damaged second stream for padding and stops in silence; Arrow takes padding of gzip for damage.
    """

    def __init__(self, f: Any) -> None:
        self._f, self._rest = f, b""
        self._decoder = self._new()

    def _new(self) -> Any:
        raise NotImplementedError

    def _decode(self, n: int) -> bytes:
        raise NotImplementedError

    def read(self, n: int) -> bytes:
        while True:
            if self._decoder.eof:
                self._rest = self._decoder.unused_data.lstrip(b"\0")
                while not self._rest:
                    more = self._f.read(1 << 16)
                    if not more:
                        return b""
                    self._rest = more.lstrip(b"\0")
                self._decoder = self._new()
            data = self._decode(n)
            if data:
                return data

    def _more(self) -> bytes:
        data: bytes = self._f.read(1 << 16)
        if not data:
            raise EOFError("ends before its end mark")
        return data


class _Xz(_Members):
    def _new(self) -> Any:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ)

    def _decode(self, n: int) -> bytes:
        if self._decoder.needs_input and not self._rest:
            self._rest = self._more()
        data: bytes = self._decoder.decompress(self._rest, n)
        self._rest = b""
        return data


class _Gzip(_Members):
    def _new(self) -> Any:
        return zlib.decompressobj(wbits=31)

    def _decode(self, n: int) -> bytes:
        waiting = self._rest or self._decoder.unconsumed_tail or self._more()
        self._rest = b""
        data: bytes = self._decoder.decompress(waiting, n)
        return data


class _Checked:
    """Reads a stream, counts its decoded bytes, and turns every fault into one that names the file."""

    def __init__(self, stream: Any, path: str, codec: str, budget: Budget | None) -> None:
        self._stream, self._path, self._codec, self._budget = stream, path, codec, budget

    def read(self, n: int) -> bytes:
        try:
            data: bytes = self._stream.read(n)
        except FAULTS as error:
            raise fault(self._path, error, f"is truncated or corrupt {self._codec or 'file'} data") from error
        if self._budget is not None:
            self._budget.spend(len(data))
        return data


@contextlib.contextmanager
def open_stream(path: str, budget: Budget, begin: int = 0) -> Iterator[Stream]:
    """The decoded bytes of a file from byte `begin` on (plain files only), decompressed as its extension says."""
    codec = compression_of(path)
    with open_file(path) as f:
        if not codec:
            f.seek(begin)
            yield _Checked(_UpTo(f, budget.size - begin), path, "", None)
            return
        source = _UpTo(f, budget.size)
        if budget.size == 0:
            raise BadFileError(path, f"is truncated or corrupt {codec} data (it is empty)")
        own = {"xz": _Xz, "gzip": _Gzip}.get(codec)
        if own is not None:
            yield _Checked(own(source), path, codec, budget)
            return
        try:
            stream = pa.CompressedInputStream(pa.PythonFile(source, "r"), codec)
        except FAULTS as error:
            raise fault(path, error, f"is truncated or corrupt {codec} data") from error
        yield _Checked(stream, path, codec, budget)


def first_bytes(path: str, n: int = 64) -> bytes:
    """The first n decoded bytes of a file, by which `auto` tells its format; none of a file whose compressed data is damaged.

    Raises:
        UnreadableFileError: the file cannot be read now.
    """
    if not compression_of(path):
        with open_file(path) as f:
            return f.read(n)
    with contextlib.suppress(BadFileError), open_stream(path, Budget(path, storage.stat(path).size, 1)) as stream:
        return stream.read(n)
    return b""
