"""What a Parquet column chunk will really decode to, from its page headers: the footer may say anything.

Each page is preceded by a Thrift compact structure with its sizes; the reader allocates what it says. Three things make a
small chunk large: a page that decompresses to much, a dictionary whose long value is repeated by 4-bit indices, and
DELTA_BYTE_ARRAY, where each value repeats a prefix of the one before. Walking the headers costs one small read a page.
Source: parquet-format (parquet.thrift, Encodings.md), Thrift compact protocol.
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa

DATA, DICTIONARY, DATA_V2 = 0, 2, 3
_DICTIONARY_ENCODINGS, _DELTA_BYTE_ARRAY = (2, 8), 7
_HEADER, _HEADER_MAX = 512, 16 << 20


class _ShortError(Exception):
    """More bytes of the header are needed."""


class _Compact:
    """Reads Thrift compact structs into dicts of field number to value; strings are skipped over."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def byte(self) -> int:
        if self.at >= len(self.data):
            raise _ShortError
        self.at += 1
        return self.data[self.at - 1]

    def varint(self) -> int:
        value = shift = 0
        while True:
            b = self.byte()
            value |= (b & 127) << shift
            shift += 7
            if b < 128:
                return value
            if shift > 63:
                raise ValueError("a number of more than 64 bits")

    def zigzag(self) -> int:
        v = self.varint()
        return (v >> 1) ^ -(v & 1)

    def value(self, kind: int, depth: int) -> Any:
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            return self.byte()
        if kind in (4, 5, 6):
            return self.zigzag()
        if kind == 7:
            self.skip(8)
        elif kind == 8:
            self.skip(self.varint())
        elif kind in (9, 10):
            return self.items(depth)
        elif kind == 12 and depth < 8:
            return self.struct(depth + 1)
        else:
            raise ValueError(f"a field of type {kind}")
        return None

    def items(self, depth: int) -> list[Any]:
        """A list or a set."""
        head = self.byte()
        size = head >> 4 if head >> 4 < 15 else self.varint()
        if size > len(self.data) - self.at:
            raise _ShortError
        if head & 15 in (1, 2):
            return [self.byte() for _ in range(size)]
        return [self.value(head & 15, depth) for _ in range(size)]

    def skip(self, n: int) -> None:
        self.at += n
        if self.at > len(self.data):
            raise _ShortError

    def struct(self, depth: int = 0) -> dict[int, Any]:
        fields: dict[int, Any] = {}
        number = 0
        while head := self.byte():
            number = number + (head >> 4) if head >> 4 else self.zigzag()
            fields[number] = self.value(head & 15, depth)
        return fields


@dataclass
class Chunk:
    """decoded: bytes of all pages; page: of the largest; mean: the largest mean of bytes a value over the pages;
    values: number of values; longest: the longest value a dictionary or prefix can repeat; repeated: how many values may be
    such repetitions."""

    decoded: int = 0
    page: int = 0
    mean: float = 0.0
    values: int = 0
    longest: int = 0
    repeated: int = 0


def _header(f: BinaryIO, at: int) -> tuple[dict[int, Any], int]:
    size = _HEADER
    while True:
        f.seek(at)
        data = f.read(size)
        reader = _Compact(data)
        try:
            return reader.struct(), reader.at
        except _ShortError:
            if len(data) < size or size >= _HEADER_MAX:
                raise ValueError("a page header is cut off") from None
            size *= 16


def _longest(f: BinaryIO, at: int, compressed: int, decoded: int, codec: str) -> int:
    """The longest byte array in a dictionary page (plain encoding: length, bytes, length, bytes ...)."""
    f.seek(at)
    data: Any = f.read(compressed)
    if codec != "UNCOMPRESSED":
        data = pa.decompress(data, decoded, {"LZ4": "lz4_hadoop", "LZ4_RAW": "lz4_raw"}.get(codec, codec.lower()))
    view, i, longest = memoryview(data), 0, 0
    while i + 4 <= len(view):
        (n,) = struct.unpack_from("<I", view, i)
        longest = max(longest, n)
        i += 4 + n
    return longest


def _number(fields: dict[int, Any], key: int, default: int) -> int:
    value = fields.get(key, default)
    if type(value) is not int:
        raise ValueError("a page header is damaged")
    return value


@dataclass(frozen=True)
class Column:
    """A column chunk, as the footer describes it; dictionary_page_offset: 0 if there is none."""

    physical_type: str
    compression: str
    num_values: int
    total_compressed_size: int
    data_page_offset: int
    dictionary_page_offset: int


@dataclass(frozen=True)
class Group:
    """A row group: its rows, and its columns in the order of the schema's leaves."""

    rows: int
    columns: tuple[Column, ...]


_TYPES = ("BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")
_CODECS = ("UNCOMPRESSED", "SNAPPY", "GZIP", "LZO", "BROTLI", "LZ4", "ZSTD", "LZ4_RAW")


def groups_of(f: BinaryIO) -> tuple[Group, ...]:
    """The row groups that a file's footer describes. (Arrow ends the process when it is asked for some damaged ones.)

    Raises ValueError where the footer is damaged, or columns are encrypted.
    """
    size = f.seek(0, 2)
    f.seek(max(0, size - 8))
    tail = f.read(8)
    length = struct.unpack("<I", tail[:4])[0] if len(tail) == 8 else size
    if tail[4:] != b"PAR1" or length > size - 8:
        raise ValueError("it has no footer")
    f.seek(size - 8 - length)
    return _groups(f.read(length))


@functools.lru_cache(16)
def _groups(footer: bytes) -> tuple[Group, ...]:
    try:
        groups = _Compact(footer).struct().get(4)
    except _ShortError:
        raise ValueError("its footer is cut off") from None
    return tuple(Group(_number(g, 3, -1), tuple(map(_column, _list(g.get(1))))) for g in _list(groups))


def _list(value: Any) -> list[dict[int, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValueError("its footer is damaged")
    return value


def _column(chunk: dict[int, Any]) -> Column:
    about = chunk.get(3)
    if not isinstance(about, dict) or 8 in chunk or 9 in chunk:
        raise ValueError("its footer describes a column that is absent or encrypted")
    kind, codec = _number(about, 1, -1), _number(about, 4, -1)
    if not (0 <= kind < len(_TYPES) and 0 <= codec < len(_CODECS)):
        raise ValueError("its footer names an unknown type or compression")
    numbers = (_number(about, key, 0) for key in (5, 7, 9, 11))
    return Column(_TYPES[kind], _CODECS[codec], *numbers)


LARGE_DICTIONARY = 8 << 20


def scan(f: BinaryIO, column: Column) -> Chunk:
    """Walk the pages of a column chunk. No value of a dictionary is longer than the
    dictionary; one that is large is looked into for its longest value. Raises ValueError where headers make no sense."""
    at = column.data_page_offset
    if 0 < column.dictionary_page_offset < at:
        at = column.dictionary_page_offset
    end = at + column.total_compressed_size
    chunk, dictionary, deltas = Chunk(), (0, 0, 0), 0
    while chunk.values < column.num_values and at < end:
        fields, length = _header(f, at)
        decoded, compressed = _number(fields, 2, -1), _number(fields, 3, -1)
        if not (decoded >= 0 and compressed >= 0 and at + length + compressed <= end):
            raise ValueError("a page header contradicts the footer")
        at += length
        chunk.decoded += decoded
        chunk.page = max(chunk.page, decoded)
        kind = fields.get(1)
        if kind == DICTIONARY:
            dictionary = (at, compressed, decoded)
        elif kind in (DATA, DATA_V2):
            detail = fields.get(5 if kind == DATA else 8) or {}
            if not isinstance(detail, dict):
                raise ValueError("a page header is damaged")
            values, encoding = _number(detail, 1, 0), _number(detail, 2 if kind == DATA else 4, -1)
            if values < 0:
                raise ValueError("a page header has a negative number of values")
            chunk.values += values
            chunk.mean = max(chunk.mean, decoded / max(1, values))
            if encoding in _DICTIONARY_ENCODINGS:
                chunk.repeated += values
            elif encoding == _DELTA_BYTE_ARRAY:
                chunk.repeated += values
                deltas = max(deltas, decoded)
        at += compressed
    chunk.longest = max(deltas, dictionary[2])
    if column.physical_type == "BYTE_ARRAY" and LARGE_DICTIONARY < dictionary[2] <= 1 << 30:
        # (pages larger than a gigabyte are refused by the caller, whatever they hold)
        chunk.longest = max(deltas, _longest(f, *dictionary, column.compression))
    elif column.physical_type not in ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"):
        chunk.longest = 16
    return chunk
