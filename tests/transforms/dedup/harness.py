"""Runs a Group in memory, as the engine does: rounds of keys, decisions by key partition, decisions sent back to shards, apply."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from corpusmill.transforms.base import Group
from corpusmill.transforms.exchange import named, shard_names
from corpusmill.transforms.hashing import mix64_array

Shard = list[pa.RecordBatch]


@dataclass
class Outcome:
    """The surviving documents by shard, what was dropped, and the side tables."""

    shards: list[pa.Table]
    dropped: dict[str, tuple[str, float, str | None]] = field(default_factory=dict)
    tables: dict[str, pa.Table] = field(default_factory=dict)
    sent: list[int] = field(default_factory=list)

    @property
    def documents(self) -> pa.Table:
        """All survivors, sorted by id."""
        return pa.concat_tables(self.shards).sort_by([("id", "ascending"), ("text", "ascending")])

    @property
    def kept(self) -> list[str]:
        return self.documents["id"].to_pylist()

    @property
    def texts(self) -> dict[str, str]:
        table = self.documents
        return dict(zip(table["id"].to_pylist(), table["text"].to_pylist()))


def _given(group: Group, rnd: int, decisions: pa.Table | None, rows: np.ndarray) -> pa.Table | None:
    """Those decisions of the last round that the engine gives to a batch."""
    first = int(rows[0]) if len(rows) else 0
    return None if decisions is None else group.decisions_for(rnd - 1, decisions, first, len(rows))


def run(group: Group, shards: list[Shard], partitions: int = 1, shuffle: int | None = None) -> Outcome:
    """Run `group` over shards of record batches. shuffle: seed by which the rows of each partition are permuted."""
    decisions: list[pa.Table] | None = None
    outcome = Outcome([])
    numbered = []
    for shard in shards:
        start, places = 0, []
        for batch in shard:
            places.append(np.arange(start, start + len(batch), dtype=np.uint32))
            start += len(batch)
        numbered.append(list(zip(shard, places)))
    shard_rows = np.array([sum(len(b) for b in shard) for shard in shards], np.int64)
    for rnd in range(group.rounds):
        sent = []
        for number, shard in enumerate(numbered):
            for batch, rows in shard:
                part = group.keys(rnd, batch, rows, _given(group, rnd, decisions and decisions[number], rows))
                table = pa.Table.from_batches([part])
                sent.append(table.append_column("shard", pa.array(np.full(len(part), number, np.uint32))))
        every = pa.concat_tables(sent)
        outcome.sent.append(every.nbytes)
        bits = mix64_array(every["key"].to_numpy())
        part_of = ((bits >> np.uint64(32)) * np.uint64(partitions)) >> np.uint64(32)
        decided = []
        tables: dict[str, list[pa.Table]] = {}
        for p in range(partitions):
            chosen = np.flatnonzero(part_of == p)
            if shuffle is not None:
                chosen = np.random.default_rng(shuffle + p).permutation(chosen)
            decision = group.decide(rnd, every.take(pa.array(chosen)))
            decided.append(decision.decisions)
            for name, table in decision.tables.items():
                tables.setdefault(name, []).append(table)
        for name, parts in tables.items():
            outcome.tables[name] = pa.concat_tables(parts).combine_chunks()
        everything = pa.concat_tables(decided)
        if rnd in group.gathered:
            answer = group.gather(rnd, decided, shard_rows)
            everything = pa.concat_tables([everything, answer]) if rnd in group.adds else answer
        decisions = []
        for number in range(len(shards)):
            addressed = 0 if rnd in group.common else number
            mine = everything.filter(pa.array(everything["shard"].to_numpy() == addressed))
            mine = mine.take(pa.array(np.argsort(mine["row"].to_numpy(), kind="stable")))
            decisions.append(named(mine, shard_names([f"{number:016x}" for number in range(len(shards))])))
    assert decisions is not None
    for number, shard in enumerate(numbered):
        batches = []
        for batch, rows in shard:
            applied = group.apply(batch, rows, _given(group, group.rounds, decisions[number], rows))
            assert len(applied.batch) + len(applied.dropped) == len(batch) + applied.derived
            assert group.adds_to() or applied.batch.schema == batch.schema
            batches.append(applied.batch)
            ids = batch.column("id").take(pa.array(applied.dropped)).to_pylist()
            outcome.dropped.update(
                zip(ids, zip(applied.reasons, applied.values, applied.survivors, strict=True), strict=True)
            )
        outcome.shards.append(pa.Table.from_batches(batches))
    return outcome


def documents(texts: list[str], ids: list[str] | None = None, **columns: object) -> pa.Table:
    """A table of documents with ids d00000, d00001, ..."""
    ids = ids or [f"d{i:05d}" for i in range(len(texts))]
    table = {"id": pa.array(ids, pa.string()), "text": pa.array(texts, pa.string())}
    table["source"] = pa.array(["test"] * len(texts), pa.string())
    return pa.table({**table, **{k: pa.array(v) for k, v in columns.items()}})


def cut(table: pa.Table, shards: int = 1, rows: int = 1000, seed: int | None = None) -> list[Shard]:
    """`table` as shards of batches; permuted first, if a seed is given. There may be more shards than documents."""
    if seed is not None:
        table = table.take(pa.array(np.random.default_rng(seed).permutation(table.num_rows)))
    bounds = np.linspace(0, table.num_rows, shards + 1).astype(int)
    out = []
    for begin, end in zip(bounds, bounds[1:]):
        batches = table.slice(begin, end - begin).combine_chunks().to_batches(max_chunksize=rows)
        out.append(batches or [pa.RecordBatch.from_pylist([], table.schema)])
    return out
