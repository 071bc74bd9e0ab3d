"""Exchange files: what one shard sends to others. One file of batches a sender; each receiver reads its own rows of it.

A sender's rows are sorted by receiver and written, uncompressed, in record batches of some 64 kB; the
file's index says where each receiver's rows begin. A receiver reads the batches that hold its rows and no others, each with
its digest checked (`corpusmill.transforms.batches`), and no service holds the data in between. (A memory map would copy
nothing, but the kernel maps what lies around each page that is touched: with many senders a receiver would seem to hold ten
times its rows.)

Key rows are cut into `FINE` slices by the top bits of the mixed key. A task that decides takes a range of slices, so the
sender's file stays the same when the number of tasks changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from corpusmill.transforms import storage
from corpusmill.transforms.arrow import empty_batch
from corpusmill.transforms.batches import BatchFile, BatchWriter
from corpusmill.transforms.errors import EngineError
from corpusmill.transforms.hashing import GOLDEN, U, mix64_array

FINE = 256
_FINE_BITS = 8
_BATCH_BYTES = 1 << 16


def slice_of_key(keys: np.ndarray) -> np.ndarray:
    """Which of the `FINE` slices each key (uint64 [n]) belongs to: uint8 [n]."""
    return (mix64_array(keys) >> U(64 - _FINE_BITS)).astype(np.uint8)


def write_keys(path: str, batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> int:
    """Write key rows (column `key` uint64), sorted by slice, stable. Returns the bytes of the rows."""
    table = pa.Table.from_batches(batches, schema).combine_chunks()
    part = slice_of_key(table.column("key").to_numpy()) if table.num_rows else np.zeros(0, np.uint8)
    return _write(path, table, part, FINE)


def write_decisions(path: str, decisions: pa.Table, shards: int) -> int:
    """Write rows addressed to shards (columns `shard`, `row` uint32), sorted by both. Returns the bytes of the rows."""
    shard, row = decisions.column("shard").to_numpy(), decisions.column("row").to_numpy()
    order = np.lexsort((row, shard))
    if not np.array_equal(order, np.arange(len(order))):
        decisions, shard = decisions.take(pa.array(order)), shard[order]
    return _write(path, decisions.combine_chunks(), shard, shards)


def _write(path: str, table: pa.Table, part: np.ndarray, parts: int) -> int:
    if len(part) and not np.all(part[1:] >= part[:-1]):
        order = np.argsort(part, kind="stable")
        table, part = table.take(pa.array(order)), part[order]
    begins = np.searchsorted(part, np.arange(parts + 1)).astype("<i8")
    table = table.combine_chunks()
    # a batch ends where a receiver's rows end, unless these alone are many
    rows = max(1, _BATCH_BYTES * table.num_rows // max(table.nbytes, 1))
    starts = [0]
    for begin, end in zip(begins[:-1].tolist(), begins[1:].tolist(), strict=True):
        if end - starts[-1] > rows:
            starts += [begin] if begin > starts[-1] else []
            starts += range(begin + rows, end, rows)
    with BatchWriter(path, table.schema) as writer:
        for start, end in zip(starts, [*starts[1:], table.num_rows], strict=True):
            batches = table.slice(start, end - start).combine_chunks().to_batches() or [empty_batch(table.schema)]
            if len(batches) > 1:
                raise EngineError(
                    f"{path}: rows of one sender hold more than 2 GiB of one column; make the shards smaller"
                )
            writer.write(batches[0])
        writer.close(begins=begins.tolist(), starts=starts)
    return int(table.nbytes)


def write_rows(path: str, table: pa.Table, to: np.ndarray, shards: int) -> int:
    """Write whole rows, one lz4-compressed record batch a receiving shard. Returns the bytes of the rows."""
    order = np.argsort(to, kind="stable")
    begins = np.searchsorted(to[order], np.arange(shards + 1))
    with BatchWriter(path, table.schema, compression="lz4") as writer:
        for begin, end in zip(begins[:-1], begins[1:], strict=True):
            part = table.take(pa.array(order[begin:end])).combine_chunks().to_batches()
            if len(part) > 1:
                raise EngineError(f"{path}: more than 2 GiB of one column go to one shard; ask for more shards")
            writer.write(part[0] if part else empty_batch(table.schema))
        writer.close()
    return int(table.nbytes)


def read_rows(paths: Sequence[str], shard: int) -> pa.Table:
    """Whole rows that any of `paths` sends to `shard`, in the order of `paths`."""

    def one(path: str) -> pa.RecordBatch:
        with BatchFile(path) as file:
            return file.batch(shard)

    return pa.Table.from_batches(storage.each(one, paths, paths[0]))


def read_slices(paths: Sequence[str], first: int, last: int, shards: Sequence[int] | None = None) -> pa.Table:
    """Rows of slices [first, last) of all `paths`, in that order; with `shards`, a column `shard` uint32 says which file
    (by its entry in `shards`) a row came from."""
    if not paths:
        raise ValueError("no exchange file to read")
    tables = storage.each(lambda path: _slices_of(path, first, last), paths, paths[0])
    if shards is not None:
        counts = [t.num_rows for t in tables]
        numbered = zip(tables, counts, shards, strict=True)
        tables = [t.append_column("shard", pa.array(np.full(n, shard, np.uint32))) for t, n, shard in numbered]
    return pa.concat_tables([t for t in tables if t.num_rows] or tables[:1])


def _slices_of(path: str, first: int, last: int) -> pa.Table:
    with BatchFile(path) as file:
        begins, starts = file.about["begins"], np.array(file.about["starts"])
        begin, end = begins[first], begins[last]
        if end == begin:
            return file.schema.empty_table()
        at = range(int(np.searchsorted(starts, begin, "right")) - 1, int(np.searchsorted(starts, end)))
        table = pa.Table.from_batches([file.batch(i) for i in at])
        return table.slice(begin - int(starts[at[0]]), end - begin)


class Parts:
    """All rows of some exchange files, about `max_rows` at a time. It can be iterated again and holds one part in memory."""

    def __init__(self, paths: Sequence[str], max_rows: int = 1 << 18) -> None:
        self._paths, self._max_rows = paths, max_rows
        self.rows = 0
        """Rows read so far by the current iteration."""

    def __iter__(self) -> Iterator[pa.Table]:
        self.rows = 0
        held: list[pa.RecordBatch] = []
        for path in self._paths:
            with BatchFile(path) as file:
                for batch in file:
                    held.append(batch)
                    self.rows += held[-1].num_rows
                    if sum(b.num_rows for b in held) >= self._max_rows:
                        yield pa.Table.from_batches(held).combine_chunks()
                        held = []
        if held:
            yield pa.Table.from_batches(held).combine_chunks()


def shard_names(contents: Sequence[str]) -> np.ndarray:
    """A number for each shard that follows from its content (a hexadecimal digest), not from its place: uint64 [shards].
    Shards of equal content have different ones, in the order in which they come."""
    seen: dict[str, int] = {}
    names = np.empty(len(contents), np.uint64)
    for i, content in enumerate(contents):
        again = seen[content] = seen.get(content, -1) + 1
        names[i] = (int(content[:16], 16) + again * int(GOLDEN)) % 2**64
    return names


def named(decisions: pa.Table, names: np.ndarray) -> pa.Table:
    """Decisions whose documents are named by content, so that they stay the same when shards come or go.

    Column `shard` is dropped. Where rows name another document (`other_shard`, `other_row`), these two become `other` uint64,
    and `own` uint64 names the document that is decided about. Such rows are sorted by `row`, `other` and the remaining columns,
    because the order of the partitions may change. Two documents have the same name with probability 2^-64.
    """
    if "other_shard" in decisions.column_names:
        shard, row, other_shard, other_row = (
            decisions.column(c).to_numpy() for c in ("shard", "row", "other_shard", "other_row")
        )
        own, other = (mix64_array(names[s] + r * GOLDEN) for s, r in ((shard, row), (other_shard, other_row)))
        decisions = decisions.drop_columns(["other_shard", "other_row"])
        decisions = decisions.append_column("own", pa.array(own)).append_column("other", pa.array(other))
        rest = [
            decisions.column(c).to_numpy() for c in decisions.column_names if c not in ("shard", "row", "own", "other")
        ]
        decisions = decisions.take(pa.array(np.lexsort((*rest, other, row))))
    return decisions.drop_columns(["shard"])


def read_all_decisions(paths: Sequence[str], shards: int) -> list[pa.Table]:
    """`read_decisions` of every shard in one pass, for small tables."""
    table = pa.concat_tables(list(Parts(paths))).combine_chunks()
    shard = table.column("shard").to_numpy()
    order = np.lexsort((table.column("row").to_numpy(), shard))
    begins = np.searchsorted(shard[order], np.arange(shards + 1))
    table = table.take(pa.array(order))
    return [table.slice(begin, end - begin) for begin, end in zip(begins[:-1], begins[1:], strict=True)]


def read_decisions(paths: Sequence[str], shard: int) -> pa.Table:
    """Rows that any of `paths` addresses to `shard`, sorted by `row` (stable over `paths`)."""
    table = read_slices(paths, shard, shard + 1).combine_chunks()
    if len(paths) > 1 and table.num_rows:
        table = table.take(pa.array(np.argsort(table.column("row").to_numpy(), kind="stable")))
    return table


def decisions_about(decisions: pa.Table, first: int, n: int) -> pa.Table:
    """The part of `decisions` (sorted by row) about rows [first, first + n)."""
    row = decisions.column("row").to_numpy()
    begin, end = np.searchsorted(row, [first, first + n])
    return decisions.slice(begin, end - begin)
