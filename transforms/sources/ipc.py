"""The messages of an Arrow IPC stream or file: where each lies, and how many bytes its body decodes to.

A record batch's buffers may be compressed, each behind an int64 that says its decoded size; readers allocate what it says.
So the metadata (a flatbuffer: Message, RecordBatch, DictionaryBatch of the format's Message.fbs) is read first, and a batch
that is too large is refused before it is decoded. Files are read as the stream they contain: the footer is only an index.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

SCHEMA, DICTIONARY, BATCH = 1, 2, 3
MAGIC = b"ARROW1"
_METADATA_MAX = 64 << 20


@dataclass(frozen=True)
class Message:
    """kind; begin, end: its bytes in the file; rows; decoded: bytes its buffers take in memory."""

    kind: int
    begin: int
    end: int
    rows: int
    decoded: int


class _Table:
    """A flatbuffer table: fields by number, with every offset checked by `struct`."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at
        self.vtable = at - struct.unpack_from("<i", data, at)[0]
        if self.vtable < 0:
            raise ValueError("metadata points outside itself")
        self.size = struct.unpack_from("<H", data, self.vtable)[0]

    def field(self, number: int) -> int:
        """Position of a field's value, or 0 if absent."""
        slot = 4 + 2 * number
        if slot + 2 > self.size:
            return 0
        offset = struct.unpack_from("<H", self.data, self.vtable + slot)[0]
        return self.at + offset if offset else 0

    def scalar(self, number: int, kind: str) -> int:
        at = self.field(number)
        return int(struct.unpack_from("<" + kind, self.data, at)[0]) if at else 0

    def pointer(self, number: int) -> int:
        at = self.field(number)
        return at + struct.unpack_from("<I", self.data, at)[0] if at else 0

    def table(self, number: int) -> _Table | None:
        at = self.pointer(number)
        return _Table(self.data, at) if at else None


def _message(f: BinaryIO, begin: int, metadata: bytes, body: int) -> tuple[int, int, int, int]:
    """(kind, rows, decoded bytes, body length) of a message whose body is at `body`."""
    try:
        root = _Table(metadata, struct.unpack_from("<I", metadata, 0)[0])
        kind, length = root.scalar(1, "B"), root.scalar(3, "q")
        if length < 0:
            raise ValueError("a message has a negative length")
        batch = root.table(2)
        if kind == DICTIONARY and batch is not None:
            batch = batch.table(1)
        if kind not in (DICTIONARY, BATCH) or batch is None:
            return kind, 0, 0, length
        rows, decoded = batch.scalar(0, "q"), 0
        at = batch.pointer(2)
        count = struct.unpack_from("<I", metadata, at)[0] if at else 0
        if rows < 0 or at + 4 + 16 * count > len(metadata):
            raise ValueError("a record batch has impossible sizes")
        buffers = [struct.unpack_from("<qq", metadata, at + 4 + 16 * i) for i in range(count)]
        for offset, size in buffers:
            if offset < 0 or size < 0 or offset + size > length:
                raise ValueError("a buffer lies outside its record batch")
            if batch.table(3) is not None and size >= 8:
                f.seek(body + offset)
                claimed = struct.unpack("<q", f.read(8))[0]
                size = claimed if claimed >= 0 else size
            decoded += size
        return kind, rows, decoded, length
    except struct.error as error:
        raise ValueError("its metadata is damaged") from error


def messages(f: BinaryIO, size: int) -> Iterator[Message]:
    """The messages of a stream or file of `size` bytes, in order. Raises ValueError where it is cut off or damaged."""
    f.seek(0)
    head = f.read(8)
    is_file = head.startswith(MAGIC)
    if is_file:
        f.seek(max(0, size - 10))
        if size < 20 or not f.read(10).endswith(MAGIC):
            raise ValueError("it does not end as an Arrow file does: truncated")
    at = 8 if is_file else 0
    while True:
        f.seek(at)
        prefix = f.read(8)
        if len(prefix) == 0 and at > 0 and not is_file:
            return  # a stream may end without its end mark
        if len(prefix) < 8 and prefix[:4] != b"\0\0\0\0":
            raise ValueError("it is cut off between record batches")
        marker, length = struct.unpack("<Ii", prefix.ljust(8, b"\0"))
        start = at + 8
        if marker != 0xFFFFFFFF:  # before version 0.15 there was no marker
            length, start = struct.unpack("<i", prefix[:4])[0], at + 4
        if length == 0:
            return
        if not 0 < length <= _METADATA_MAX or start + length > size:
            raise ValueError("it is cut off, or is no Arrow data")
        f.seek(start)
        kind, rows, decoded, body = _message(f, at, f.read(length), start + length)
        end = start + length + body
        if end > size:
            raise ValueError("it is cut off within a record batch")
        yield Message(kind, at, end, rows, decoded)
        at = end


class Spliced(io.RawIOBase):
    """A file that consists of the given messages of another: a stream of some of its batches."""

    def __init__(self, f: BinaryIO, chosen: list[Message]) -> None:
        super().__init__()
        self._f, self._left = f, [(m.begin, m.end) for m in chosen]

    def readable(self) -> bool:
        return True

    def read(self, n: int = -1) -> bytes:
        out = []
        while self._left and n != 0:
            begin, end = self._left[0]
            self._f.seek(begin)
            data = self._f.read(end - begin if n < 0 else min(n, end - begin))
            if not data:
                raise OSError("the file became shorter while it was read")
            out.append(data)
            n = n if n < 0 else n - len(data)
            begin += len(data)
            self._left[:1] = [(begin, end)] if begin < end else []
        return out[0] if len(out) == 1 else b"".join(out)

    def readall(self) -> bytes:
        return self.read()
