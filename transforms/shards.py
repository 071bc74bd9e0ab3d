"""Shard files: written row group by row group, read batch by batch, the same bytes for the same rows.

Parquet (published shards): zstd, a checksum on every page, row groups of about 1,000 rows (a random row costs
milliseconds), min/max statistics for every column but text, whose values would leak into the footer and outlive deletion.
Arrow IPC (by choice): uncompressed and memory-mapped.
Staged shards: files of batches with digests (`corpusmill.transforms.batches`), with lz4 blocks where disks are the limit.

Where a row group ends depends on the rows alone, never on how they came in batches. A file appears under its name only
when it is whole: on a disk it is written beside it and renamed, in an object store an object is whole or not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpusmill.transforms import batches, storage
from corpusmill.transforms.errors import BadFileError, StoreError

Format = Literal["parquet", "arrow", "stage", "stage-lz4"]
SUFFIX: dict[str, str] = {
    "parquet": ".parquet",
    "arrow": ".arrow",
    "stage": batches.SUFFIX,
    "stage-lz4": batches.SUFFIX,
}

GROUP_ROWS = 1_000
GROUP_BYTES = 32 << 20
_NO_STATISTICS = frozenset({"text"})


def text_bytes(batch: pa.RecordBatch) -> int:
    """Bytes of UTF-8 text in column `text`."""
    column = batch.column("text")
    if len(column) == 0:
        return 0
    return pc.sum(pc.binary_length(column)).as_py() or 0


@dataclass(frozen=True)
class Written:
    """What was written: rows, bytes of text, size of the file in bytes, and its SHA-256."""

    rows: int
    text_bytes: int
    size: int
    sha256: str


class ShardWriter:
    """Streams record batches into one shard file; the file appears at `path` when the block ends without an error. With
    `named`, its name follows from what was written, and `path` says the folder. `durable`: a staged file, too, is forced to
    disk, as published ones are.

    >>> import tempfile, os
    >>> batch = pa.record_batch({"id": ["a"], "text": ["hello"], "source": ["s"]})
    >>> with tempfile.TemporaryDirectory() as d, ShardWriter(os.path.join(d, "x.parquet"), batch.schema) as w:
    ...     w.write(batch)
    >>> w.written.rows, w.written.text_bytes
    (1, 5)
    """

    def __init__(
        self,
        path: str,
        schema: pa.Schema,
        form: Format = "parquet",
        level: int = 3,
        named: Callable[[Written], str] | None = None,
        durable: bool = False,
    ) -> None:
        self.path, self.schema, self._form, self._named = path, schema, form, named
        self._durable = durable
        self._staged: batches.BatchWriter | None = None
        self._held: list[pa.RecordBatch] = []
        self._held_rows = self._held_bytes = 0
        self._rows = self._text = 0
        self.written: Written | None = None
        if form in ("stage", "stage-lz4"):
            self._staged = batches.BatchWriter(path, schema, "lz4" if form == "stage-lz4" else None)
            return
        self._file = storage.NewFile(path, storage.fresh_name())
        self._part = self._file.path
        with self._file.naming():
            self._sink = self._open(level)

    def _open(self, level: int) -> Any:
        schema = self.schema
        if self._form != "parquet":
            return pa.ipc.new_file(self._part, schema)
        return pq.ParquetWriter(
            self._part,
            schema,
            compression="zstd",
            compression_level=level,
            use_dictionary=[f.name for f in schema if f.name not in ("id", "text", "parent") and _dictionary(f.type)],
            write_statistics=[
                f.name for f in schema if f.name not in _NO_STATISTICS and not pa.types.is_nested(f.type)
            ],
            write_page_checksum=True,
            store_schema=True,
        )

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows; full row groups go to the file at once."""
        if batch.num_rows == 0:
            return
        self._rows += batch.num_rows
        self._text += text_bytes(batch) if "text" in batch.schema.names else 0
        if self._staged is not None:
            self._staged.write(batch)
            return
        # cut where the group is full: by rows, or by bytes when documents are long
        while batch.num_rows:
            room = min(batch.num_rows, GROUP_ROWS - self._held_rows)
            take = _rows_within(batch, room, GROUP_BYTES - self._held_bytes) if self._held_rows or room else room
            if take == 0 and self._held_rows == 0:
                take = 1
            if take:
                piece = batch.slice(0, take)
                self._held.append(piece)
                self._held_rows += take
                self._held_bytes += text_bytes(piece) if "text" in piece.schema.names else 0
                batch = batch.slice(take)
            if batch.num_rows or self._held_rows >= GROUP_ROWS:
                self._flush()

    def _flush(self) -> None:
        if not self._held:
            return
        table = pa.Table.from_batches(self._held, self.schema)
        with self._file.naming():
            if self._form == "parquet":
                self._sink.write_table(table, row_group_size=table.num_rows)
            else:
                # a slice and a rebuilt array of the same values are written as different bytes: always rebuild
                for batch in table.take(pa.array(range(table.num_rows))).combine_chunks().to_batches():
                    self._sink.write_batch(batch)
        self._held, self._held_rows, self._held_bytes = [], 0, 0

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._staged is not None:
            try:
                if kind is None:
                    self.written = Written(self._rows, self._text, self._staged.close(self._durable), "")
            finally:
                self._staged.discard()
            return
        try:
            if kind is None:
                self._flush()
            with self._file.naming():
                self._sink.close()
            if kind is None:
                with open(self._part, "rb") as f:
                    os.fsync(f.fileno())
                    digest = hashlib.file_digest(f, "sha256").hexdigest()
                self.written = Written(self._rows, self._text, os.path.getsize(self._part), digest)
                self.path = self._named(self.written) if self._named else self.path
                self._file.publish(self.path, digest)
        finally:
            self._file.discard()


def _dictionary(kind: pa.DataType) -> bool:
    return not (pa.types.is_nested(kind) or pa.types.is_floating(kind))


def _rows_within(batch: pa.RecordBatch, rows: int, budget: int) -> int:
    """How many of the first `rows` rows fit into `budget` bytes of text."""
    if "text" not in batch.schema.names or rows == 0:
        return rows
    total = pc.cumulative_sum(pc.binary_length(batch.column("text").slice(0, rows)).cast(pa.int64()))
    return rows if total[rows - 1].as_py() <= budget else pc.sum(pc.less_equal(total, budget)).as_py()


def read_shard(path: str, columns: list[str] | None = None, batch_rows: int = 4_096) -> Iterator[pa.RecordBatch]:
    """Batches of a shard file, Parquet or Arrow IPC, with page checksums verified.

    Raises:
        BadFileError: the file is damaged or of another format.
    """
    with _damage_named(path):
        if path.endswith(".parquet"):
            source: Any = path if storage.is_local(path) else storage.open_input(path)
            with pq.ParquetFile(source, page_checksum_verification=True, pre_buffer=False) as file:
                yield from file.iter_batches(batch_rows, columns=columns, use_threads=False)
        elif path.endswith(batches.SUFFIX):
            with batches.BatchFile(path) as staged:
                for batch in staged:
                    yield batch if columns is None else batch.select(columns)
        else:
            # not mapped: touched pages would count as memory until the shard is read to its end
            with storage.arrow_input(path, mapped=False) as source:
                options = pa.ipc.IpcReadOptions(use_threads=False)
                reader = pa.ipc.open_file(source, options=options)
                for i in range(reader.num_record_batches):
                    batch = reader.get_batch(i)
                    yield batch if columns is None else batch.select(columns)


@contextlib.contextmanager
def _damage_named(path: str) -> Iterator[None]:
    """Turns the errors of reading a shard into a BadFileError."""
    try:
        yield
    except StoreError:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # names of columns that are no UTF-8, too
        if isinstance(error, FileNotFoundError):
            raise BadFileError(path, "the file is missing", "run `corpusmill verify` on the dataset") from error
        raise BadFileError(path, f"cannot be read ({error})", "run `corpusmill verify` on the dataset") from error


def shard_schema(path: str) -> pa.Schema:
    """Schema of a shard file, without its metadata.

    Raises:
        BadFileError: the file is damaged or of another format.
    """
    with _damage_named(path):
        if path.endswith(".parquet"):
            return pq.read_schema(path if storage.is_local(path) else storage.open_input(path)).remove_metadata()
        if path.endswith(batches.SUFFIX):
            with batches.BatchFile(path) as staged:
                return staged.schema
        with storage.arrow_input(path) as source:
            return pa.ipc.open_file(source).schema.remove_metadata()
    raise AssertionError("the block returns or raises")
