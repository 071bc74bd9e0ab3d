"""What goes from shard to shard: one Arrow IPC file a sender, of which each receiver reads its own rows.

A sender's rows are sorted by receiver and written as one record batch, uncompressed; where each receiver's rows begin
stands in the schema's metadata. A receiver maps the files into memory and takes its slices: nothing is copied, nothing but
the slices is read, and no service holds the data in between.

Key rows are cut into `FINE` slices by the top bits of the mixed key, however many units will decide: a unit takes a range
of slices. So the sender's file does not change when the number of units does.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from transforms.arrow import empty_batch
from transforms.errors import EngineError
from transforms.hashing import U, mix64_array
from transforms.storage import temporary_name

FINE = 256
_FINE_BITS = 8
_META = b"corpusmill.begins"


def slice_of_key(keys: np.ndarray) -> np.ndarray:
    """Which of the `FINE` slices each key (uint64 [n]) belongs to: uint8 [n]."""
    return (mix64_array(keys) >> U(64 - _FINE_BITS)).astype(np.uint8)


def write_keys(path: str, batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> int:
    """Write key rows (column `key` uint64), sorted by slice, stable. Returns the bytes of the rows."""
    table = pa.Table.from_batches(batches, schema).combine_chunks()
    part = slice_of_key(table.column("key").to_numpy()) if table.num_rows else np.zeros(0, np.uint8)
    return _write(path, table, part, FINE)


def write_told(path: str, told: pa.Table, shards: int) -> int:
    """Write rows addressed to shards (columns `shard`, `row` uint32), sorted by both. Returns the bytes of the rows."""
    shard, row = told.column("shard").to_numpy(), told.column("row").to_numpy()
    order = np.lexsort((row, shard))
    if not np.array_equal(order, np.arange(len(order))):
        told, shard = told.take(pa.array(order)), shard[order]
    return _write(path, told.combine_chunks(), shard, shards)


@contextlib.contextmanager
def _new_file(path: str, schema: pa.Schema, compression: str | None = None) -> Iterator[Any]:
    """A writer of an IPC file that appears under its name when it is whole, or not at all."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = temporary_name(path)
    try:
        options = pa.ipc.IpcWriteOptions(compression=compression)
        with pa.OSFile(temporary, "wb") as sink, pa.ipc.new_file(sink, schema, options=options) as writer:
            yield writer
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def _write(path: str, table: pa.Table, part: np.ndarray, parts: int) -> int:
    if len(part) and not np.all(part[1:] >= part[:-1]):
        order = np.argsort(part, kind="stable")
        table, part = table.take(pa.array(order)), part[order]
    begins = np.searchsorted(part, np.arange(parts + 1)).astype("<i8")
    schema = table.schema.with_metadata({_META: begins.tobytes()})
    batches = table.combine_chunks().to_batches()
    if len(batches) > 1:
        raise EngineError(f"{path}: one sender's rows hold more than 2 GiB of one column; make the shards smaller")
    with _new_file(path, schema) as writer:
        for batch in batches:
            writer.write_batch(batch.cast(table.schema).replace_schema_metadata(schema.metadata))
    return int(table.nbytes)


def write_rows(path: str, table: pa.Table, to: np.ndarray, shards: int) -> int:
    """Write whole rows, one lz4-compressed record batch a receiving shard. Returns the bytes of the rows."""
    order = np.argsort(to, kind="stable")
    begins = np.searchsorted(to[order], np.arange(shards + 1))
    with _new_file(path, table.schema, compression="lz4") as writer:
        for begin, end in zip(begins[:-1], begins[1:], strict=True):
            part = table.take(pa.array(order[begin:end])).combine_chunks().to_batches()
            if len(part) > 1:
                raise EngineError(f"{path}: more than 2 GiB of one column go to one shard; ask for more shards")
            writer.write_batch(part[0] if part else empty_batch(table.schema))
    return int(table.nbytes)


def read_rows(paths: Sequence[str], shard: int) -> pa.Table:
    """Whole rows that any of `paths` sends to `shard`, in the order of `paths`."""
    batches = []
    for path in paths:
        with pa.memory_map(path) as source:
            batches.append(pa.ipc.open_file(source).get_batch(shard))
    return pa.Table.from_batches(batches)


def read_slices(paths: Sequence[str], first: int, last: int, shards: Sequence[int] | None = None) -> pa.Table:
    """Rows of slices [first, last) of all `paths`, in that order; with `shards`, a column `shard` uint32 says which file
    (by its entry in `shards`) a row came from."""
    tables = []
    schema: pa.Schema | None = None
    for number, path in enumerate(paths):
        source = pa.memory_map(path)
        reader = pa.ipc.open_file(source)
        begins = np.frombuffer(reader.schema.metadata[_META], "<i8")
        schema = reader.schema.remove_metadata()
        begin, end = int(begins[first]), int(begins[last])
        if end == begin:
            continue
        batch = reader.get_batch(0).slice(begin, end - begin)
        table = pa.Table.from_batches([batch]).replace_schema_metadata(None)
        if shards is not None:
            table = table.append_column("shard", pa.array(np.full(end - begin, shards[number], np.uint32)))
        tables.append(table)
    if tables:
        return pa.concat_tables(tables)
    if schema is None:
        raise ValueError("no exchange file to read")
    if shards is not None:
        schema = schema.append(pa.field("shard", pa.uint32()))
    return schema.empty_table()


def read_told(paths: Sequence[str], shard: int) -> pa.Table:
    """Rows that any of `paths` addresses to `shard`, sorted by `row` (stable over `paths`)."""
    table = read_slices(paths, shard, shard + 1).combine_chunks()
    if len(paths) > 1 and table.num_rows:
        table = table.take(pa.array(np.argsort(table.column("row").to_numpy(), kind="stable")))
    return table
