"""Decoders of single frames: one member of gzip, one frame of zstd, one stream of bz2 or xz."""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import Any

from corpusmill.transforms.errors import MissingDependencyError

AT_A_TIME = 1 << 20
"""Bytes that gzip, bz2 and xz decode to at once."""


class Gzip:
    """One member."""

    faults = (zlib.error,)

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(wbits=31)
        self.eof, self.waiting = False, False

    def decode(self, data: bytes) -> tuple[bytes, bytes]:
        """Decoded bytes, and what is left of the input."""
        out = self._decoder.decompress(self._decoder.unconsumed_tail or data, AT_A_TIME)
        self.waiting = bool(self._decoder.unconsumed_tail)
        self.eof = self._decoder.eof
        return out, self._decoder.unused_data if self.eof else b""


class Stream:
    """One stream of bz2 or xz."""

    faults = (OSError, ValueError, EOFError, lzma.LZMAError)

    def __init__(self, codec: str) -> None:
        self._decoder: Any = bz2.BZ2Decompressor() if codec == "bz2" else lzma.LZMADecompressor(lzma.FORMAT_XZ)
        self.eof, self.waiting = False, False

    def decode(self, data: bytes) -> tuple[bytes, bytes]:
        """Decoded bytes, and what is left of the input."""
        out = self._decoder.decompress(data, AT_A_TIME)
        self.eof = self._decoder.eof
        self.waiting = not self.eof and not self._decoder.needs_input
        return out, self._decoder.unused_data if self.eof else b""


class Zstd:
    """One frame."""

    _PIECE = 2048  # bytes of which decode to at most 64 MiB

    def __init__(self, decompressor: Any) -> None:
        self._decoder = decompressor.decompressobj()
        self.faults = (zstandard().ZstdError,)
        self.eof, self.waiting = False, False

    def decode(self, data: bytes) -> tuple[bytes, bytes]:
        """Decoded bytes, and what is left of the input."""
        out = self._decoder.decompress(data[: self._PIECE])
        self.eof = self._decoder.eof
        return out, (self._decoder.unused_data if self.eof else b"") + data[self._PIECE :]


def zstandard() -> Any:
    try:
        import zstandard as library
    except ImportError as error:
        raise MissingDependencyError(
            "web archives in zstd need `zstandard`. To go on: pip install 'corpusmill[web]'."
        ) from error
    return library
