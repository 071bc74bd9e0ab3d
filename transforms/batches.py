"""Files of record batches that one task writes and another reads: each batch carries a digest, which is checked when it is read.

Arrow's IPC files have no checksum: a flipped bit in one is read as other data. Here a file is

    magic | message | message | ... | index | length of the index, digest of the index, magic

A message is an Arrow IPC stream of one batch. The index (JSON) names where each message ends, its digest, and what the writer
adds. Every byte but the magic lies under a digest (XXH3, 64 bits: it finds damage, not forgery). A reader reads the messages
that it needs, so that many readers share a file without reading all of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Any, BinaryIO

import pyarrow as pa
import xxhash

from corpusmill.transforms import storage
from corpusmill.transforms.arrow import empty_batch
from corpusmill.transforms.errors import DamagedWorkError

SUFFIX = ".batches"
MAGIC = b"CMBATCH1"
_TAIL = struct.Struct("<QQ8s")
_END_BYTES = 1 << 16
"""Bytes that are read at the end of a file to find its index: mostly all of it, in one request."""


class BatchWriter:
    """Writes a file of batches; it appears under its name at `close`, or not at all (`discard`).

    compression: of the batches, `lz4` or None.
    """

    def __init__(self, path: str, schema: pa.Schema, compression: str | None = None) -> None:
        self.path, self.schema = path, schema.remove_metadata()
        self._options = pa.ipc.IpcWriteOptions(compression=compression)
        self._ends: list[int] = []
        self._digests: list[int] = []
        self._rows: list[int] = []
        self._size = len(MAGIC)
        self._file = storage.NewFile(path, storage.fresh_name())
        with self._file.naming():
            self._sink: BinaryIO = open(self._file.path, "wb")  # noqa: SIM115  # closed by close or discard
            self._sink.write(MAGIC)

    def write(self, batch: pa.RecordBatch) -> None:
        """Add a batch."""
        message = _message(batch.replace_schema_metadata(None), self.schema, self._options)
        with self._file.naming():
            self._sink.write(message)
        self._size += len(message)
        self._ends.append(self._size)
        self._digests.append(xxhash.xxh3_64_intdigest(message))
        self._rows.append(batch.num_rows)

    def close(self, durable: bool = False, **about: Any) -> int:
        """Write the index with what is said `about` the file, and give the file its name; returns its size."""
        if not self._ends:  # a reader takes the schema from a batch
            self.write(empty_batch(self.schema))
        entries = {"ends": self._ends, "digests": self._digests, "rows": self._rows, "about": about}
        index = json.dumps(entries, separators=(",", ":")).encode()
        with self._file.naming():
            self._sink.write(index)
            self._sink.write(_TAIL.pack(len(index), xxhash.xxh3_64_intdigest(index), MAGIC))
            self._sink.flush()
            if durable:
                os.fsync(self._sink.fileno())
            self._sink.close()
        self._file.publish()
        return self._size + len(index) + _TAIL.size

    def discard(self) -> None:
        """Leave nothing behind that was not closed; to be called at the end in any case."""
        with contextlib.suppress(OSError):  # of a full disk, which a write has already reported with the file's name
            self._sink.close()
        self._file.discard()

    def __enter__(self) -> BatchWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()


def _message(batch: pa.RecordBatch, schema: pa.Schema, options: Any) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema, options=options) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


class BatchFile:
    """Reads a file of batches. A context.

    Raises:
        DamagedWorkError: here and in `batch`: the file is gone, or a byte of what was read is not as it was written.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._source = storage.open_input(path)
        except FileNotFoundError as error:
            raise DamagedWorkError(path, "it is not there") from error
        try:
            index = self._read_index()
        except BaseException:
            self._source.close()
            raise
        self._ends, self._digests, self.rows = index["ends"], index["digests"], index["rows"]
        self.about: dict[str, Any] = index["about"]
        """What the writer said about the file."""

    def _read_index(self) -> dict[str, Any]:
        size = self._source.seek(0, 2)
        begin = max(0, size - _END_BYTES)
        self._source.seek(begin)
        end = self._source.read(size - begin)
        if len(end) < _TAIL.size + len(MAGIC) or size < len(MAGIC):
            raise DamagedWorkError(self.path, "it is too short")
        length, digest, magic = _TAIL.unpack(end[-_TAIL.size :])
        if magic != MAGIC or length > size - _TAIL.size - len(MAGIC):
            raise DamagedWorkError(self.path, "its end is damaged")
        index = end[-_TAIL.size - length : -_TAIL.size]
        if length > len(end) - _TAIL.size:
            self._source.seek(size - _TAIL.size - length)
            index = self._source.read(length)
        if xxhash.xxh3_64_intdigest(index) != digest:
            raise DamagedWorkError(self.path, "its index is damaged")
        entries: dict[str, Any] = json.loads(index)
        return entries

    def __len__(self) -> int:
        return len(self._ends)

    def batch(self, number: int) -> pa.RecordBatch:
        """One batch."""
        begin = self._ends[number - 1] if number else len(MAGIC)
        self._source.seek(begin)
        message = self._source.read(self._ends[number] - begin)
        if xxhash.xxh3_64_intdigest(message) != self._digests[number]:
            raise DamagedWorkError(self.path, f"batch {number} is damaged")
        with pa.ipc.open_stream(pa.py_buffer(message)) as reader:
            return reader.read_next_batch()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return (self.batch(number) for number in range(len(self)))

    @property
    def schema(self) -> pa.Schema:
        """The schema of all batches."""
        return self.batch(0).schema

    def __enter__(self) -> BatchFile:
        return self

    def __exit__(self, *error: object) -> None:
        self._source.close()


def check(path: str) -> None:
    """Read all of a file.

    Raises:
        DamagedWorkError: a byte of it is not as it was written.
    """
    with storage.open_input(path) as source:
        if source.read(len(MAGIC)) != MAGIC:
            raise DamagedWorkError(path, "its beginning is damaged")
    with BatchFile(path) as file:
        for _ in file:
            continue
