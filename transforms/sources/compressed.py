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

FAULTS = (pa.ArrowException, OSError, ValueError, EOFError, lzma.LZMAError, zlib.error)


class Stream(Protocol):
    """What `open_stream` gives: bytes from the front to the back."""

    def read(self, n: int) -> bytes:
        """At most n bytes, and none only at the end."""


class _Xz:
    """Streams of xz one after the other; `lzma.open` takes a damaged second one for padding and stops in silence."""

    def __init__(self, f: Any) -> None:
        self._f, self._decoder, self._rest = f, lzma.LZMADecompressor(), b""

    def read(self, n: int) -> bytes:
        while True:
            if self._decoder.eof:
                self._rest = self._decoder.unused_data.lstrip(b"\0")  # streams may be padded with zeros
                while not self._rest:
                    more = self._f.read(1 << 16)
                    if not more:
                        return b""
                    self._rest = more.lstrip(b"\0")
                self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ)
            if self._decoder.needs_input and not self._rest:
                self._rest = self._f.read(1 << 16)
                if not self._rest:
                    raise EOFError("ends before its end mark")
            data = self._decoder.decompress(self._rest, n)
            self._rest = b""
            if data:
                return data


class _Checked:
    """Reads a stream, counts its decoded bytes, and turns every fault into one that names the file."""

    def __init__(self, stream: Any, path: str, codec: str, budget: Budget | None) -> None:
        self._stream, self._path, self._codec, self._budget = stream, path, codec, budget

    def read(self, n: int) -> bytes:
        try:
            data: bytes = self._stream.read(n)
        except FAULTS as error:
            kind = f"{self._codec} data" if self._codec else "file"
            what = f"is truncated or corrupt {kind} ({(str(error) or type(error).__name__).splitlines()[0][:200]})"
            raise BadFileError(self._path, what) from error
        if self._budget is not None:
            self._budget.spend(len(data))
        return data


@contextlib.contextmanager
def open_stream(path: str, budget: Budget, begin: int = 0) -> Iterator[Stream]:
    """The decoded bytes of a file from byte `begin` on (plain files only), decompressed as its extension says."""
    codec = compression_of(path)
    try:
        f: Any = storage.open_input(path)
    except OSError as error:
        raise BadFileError(path, f"cannot be read ({error.strerror or error})") from error
    with f:
        if not codec:
            f.seek(begin)
            yield _Checked(f, path, "", None)
            return
        if budget.size == 0:
            raise BadFileError(path, f"is truncated or corrupt {codec} data (it is empty)")
        if codec == "xz":
            yield _Checked(_Xz(f), path, codec, budget)
            return
        try:
            stream = pa.CompressedInputStream(pa.PythonFile(f, "r"), codec)
        except FAULTS as error:
            raise BadFileError(path, f"is truncated or corrupt {codec} data ({error})") from error
        yield _Checked(stream, path, codec, budget)
