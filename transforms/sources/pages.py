"""What a Parquet column chunk will really decode to, from its page headers: the footer may say anything.

Each page is preceded by a Thrift compact structure with its sizes; the reader allocates what it says. Three things make a
small chunk large: a page that decompresses to much, a dictionary whose long value is repeated by 4-bit indices, and
DELTA_BYTE_ARRAY, where each value repeats a prefix of the one before. Walking the headers costs one small read a page.
Source: parquet-format (parquet.thrift, Encodings.md), Thrift compact protocol.
"""

from __future__ import annotations

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
    """Reads Thrift compact structs into dicts of field number to value; strings and lists are skipped over."""

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
        elif kind == 12 and depth < 8:
            return self.struct(depth + 1)
        else:
            raise ValueError(f"a field of type {kind}")
        return None

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


LARGE_DICTIONARY = 8 << 20


def scan(f: BinaryIO, column: Any) -> Chunk:
    """Walk the pages of a column chunk (`column`: pyarrow's ColumnChunkMetaData). No value of a dictionary is longer than the
    dictionary; one that is large is looked into for its longest value. Raises ValueError where headers make no sense."""
    at = column.data_page_offset
    if column.has_dictionary_page and 0 < (column.dictionary_page_offset or 0) < at:
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
