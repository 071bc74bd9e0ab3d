"""A file of compressed frames that stand on their own (members of gzip, frames of zstd) as one stream that knows where in the file
each byte comes from, and finds the next record where a range begins or behind damage.

A frame in the file may be a copy that lies uncompressed within another frame (a web archive that was itself captured). A range
therefore begins only where frames follow each other without a fault for `CHAIN` bytes: stored blocks of deflate and raw blocks
of zstd have at most 64 KiB and 128 KiB, and between them stand bytes that break such a copy.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.warc.codecs import AT_A_TIME, Gzip, Stream, Zstd, zstandard

CHAIN = 256 << 10
_GZIP, _ZSTD, _DICTIONARY = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", 0x184D2A5D
_MAGIC = {"gzip": _GZIP, "zstd": _ZSTD, "bz2": b"BZh", "xz": b"\xfd7zXZ\0"}
_PADDED = ("gzip", "xz")
_READ = 64 << 10


class TornError(Exception):
    """The stream has no more good bytes. offset: of the frame in the file; ended: the file ends within it."""

    def __init__(self, offset: int, what: str, ended: bool = False) -> None:
        super().__init__(offset, what, ended)
        self.offset, self.what, self.ended = offset, what, ended


class Chunk(NamedTuple):
    """Decoded bytes. offset: where their frame begins in the file (of a plain file, where they lie); end: the file behind what was
    read so far."""

    offset: int
    data: bytes
    end: int


class Frames:
    """The frames of a file of `size` bytes. codec: "", "gzip", "zstd", "bz2" or "xz"."""

    def __init__(self, file: BinaryIO, size: int, codec: str, budget: Budget | None = None) -> None:
        self.file, self.size, self.codec, self.budget = file, size, codec, budget
        self.magic = _MAGIC.get(codec, b"")
        self._dictionary = self._read_dictionary() if codec == "zstd" else None

    def _bytes(self, at: int, n: int) -> bytes:
        self.file.seek(at)
        return self.file.read(max(0, min(n, self.size - at)))

    def _read_dictionary(self) -> Any:
        """The dictionary in the first, skippable frame (of WARC files with zstd, IIPC 2021), or None."""
        head = self._bytes(0, 8)
        if len(head) < 8 or struct.unpack("<I", head[:4])[0] != _DICTIONARY:
            return None
        library = zstandard()
        data = self._bytes(8, struct.unpack("<I", head[4:])[0])
        if data.startswith(_ZSTD):
            data = library.ZstdDecompressor().stream_reader(data).read(AT_A_TIME << 4)
        return library.ZstdCompressionDict(data)

    def _decoder(self) -> Any:
        if self.codec == "gzip":
            return Gzip()
        if self.codec in ("bz2", "xz"):
            return Stream(self.codec)
        return Zstd(zstandard().ZstdDecompressor(dict_data=self._dictionary))

    def chunks(self, at: int) -> Iterator[Chunk]:
        """The decoded bytes from the frame at `at` on, in pieces of at most a few MiB.

        Raises:
            TornError: a frame is damaged, or the file ends within it.
        """
        if not self.codec:
            while data := self._bytes(at, AT_A_TIME):
                yield Chunk(at, data, at + len(data))
                at += len(data)
            return
        rest, end = b"", at
        while True:
            rest = rest.lstrip(b"\0") if self.codec in _PADDED else rest
            while len(rest) < 8 and (more := self._bytes(end, _READ)):
                rest, end = (rest + more), end + len(more)
                rest = rest.lstrip(b"\0") if self.codec in _PADDED else rest
            if not rest:
                return
            start = end - len(rest)
            if self.codec == "zstd" and rest[1:4] == b"\x2a\x4d\x18":  # a skippable frame
                rest, end = b"", start + 8 + int.from_bytes(rest[4:8], "little")
                continue
            if not rest.startswith(self.magic):
                raise TornError(start, f"there is no {self.codec} data", self.magic.startswith(rest))
            decoder = self._decoder()
            while not decoder.eof:
                if not rest and not decoder.waiting:
                    rest = self._bytes(end, _READ)
                    if not rest:
                        raise TornError(start, f"the file ends within {self.codec} data", ended=True)
                    end += len(rest)
                try:
                    data, rest = decoder.decode(rest)
                except decoder.faults as error:
                    raise TornError(start, f"the {self.codec} data is damaged ({error})") from error
                if data:
                    if self.budget is not None:
                        self.budget.spend(len(data))
                    yield Chunk(start, data, end - len(rest))

    def is_one(self, reach: int) -> bool:
        """Whether the first frame has more than `reach` bytes, or is all there is."""
        first: int | None = None
        try:
            for chunk in self.chunks(0):
                first = chunk.offset if first is None else first
                if chunk.offset > first:
                    return False
                if chunk.end > reach:
                    return True
        except TornError:
            pass
        return True

    def find(self, at: int, good: Callable[[int], bool]) -> int | None:
        """The first place from `at` on with the magic of a frame that is `good`; None if there is none."""
        while at < self.size:
            block = self._bytes(at, AT_A_TIME + len(self.magic) - 1)
            found = block.find(self.magic)
            while found >= 0:
                if good(at + found):
                    return at + found
                found = block.find(self.magic, found + 1)
            at += AT_A_TIME
        return None

    def begins(self, at: int, start: bytes, reach: int = 0) -> bool:
        """Whether a frame at `at` begins with `start` (and blanks before it) once decoded, and this frame and all in the next
        `reach` bytes are good."""
        head = b""
        try:
            for chunk in self.chunks(at):
                if len(head) < len(start):
                    head = (head + chunk.data[: len(start) + 64]).lstrip()
                    if not start.startswith(head[: len(start)]):
                        return False
                if chunk.end - at > reach and (reach or chunk.offset > at):
                    break
        except TornError as torn:
            passed = torn.offset > at and not reach
            return (torn.ended or passed) and head.startswith(start)
        return head.startswith(start)
