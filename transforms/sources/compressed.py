"""Plain and compressed bytes as one stream that never ends short in silence: cut .gz, .zst, .bz2 and .xz are errors."""

from __future__ import annotations

import contextlib
import lzma
import zlib
from collections.abc import Iterator
from typing import Any, Protocol

import pyarrow as pa

from transforms import storage
from transforms.errors import BadFileError
from transforms.sources.limits import Budget
from transforms.sources.listing import COMPRESSIONS, bare_extension

FAULTS = (pa.ArrowException, OSError, ValueError, EOFError, lzma.LZMAError, zlib.error)


class Stream(Protocol):
    """What `open_stream` gives: bytes from the front to the back."""

    def read(self, n: int) -> bytes:
        """At most n bytes, and none only at the end."""


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
    codec = COMPRESSIONS.get(bare_extension(path)[1], "")
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
            with lzma.open(f) as stream:
                yield _Checked(stream, path, codec, budget)
            return
        try:
            stream = pa.CompressedInputStream(pa.PythonFile(f, "r"), codec)
        except FAULTS as error:
            raise BadFileError(path, f"is truncated or corrupt {codec} data ({error})") from error
        yield _Checked(stream, path, codec, budget)
