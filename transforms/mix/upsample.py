"""Repeats the best documents and drops the worst, by a curve over the quantiles of a column."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from corpusmill.transforms.arrow import empty_batch
from corpusmill.transforms.base import Decided, Routed, Stability
from corpusmill.transforms.columns import labels, numbers
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.hashing import hash64
from corpusmill.transforms.mix._evaluation import SparesEvaluation
from corpusmill.transforms.mix._repeat import repeated
from corpusmill.transforms.random import EPOCH, Keyed

BINS = 256
"""Quantiles of a group that are told apart."""
_SENT = pa.schema(
    {
        "key": pa.uint64(),
        "row": pa.uint32(),
        "group": pa.uint64(),
        "value": pa.float64(),
        "size": pa.int64(),
        "bytes": pa.int64(),
    }
)
_DECISIONS = pa.schema(
    {
        "shard": pa.uint32(),
        "row": pa.uint32(),
        "group": pa.uint64(),
        "edge": pa.float64(),
        "epochs": pa.float64(),
        "shards": pa.uint32(),
    }
)


class Upsample(SparesEvaluation):
    """Repeats documents by a monotone curve over the quantiles of a numeric column: the best often, the worst not at all.

    Source: quality-aware upsampling as in OLMo 3 (2025): the curve gives how often a quantile is read, and rises. Use it behind
    a step that writes a score, such as `quality`. A point [q, e] of `curve` says that documents at the share q of the ranking,
    from the lowest value to the highest, are read e times; between points the curve is a line, and before the first point and
    behind the last it is level. With `within`, each group (each language, each topic) has a ranking of its own. The ranking is
    cut into 256 quantiles, counted in `unit`; documents of equal value have equal epochs.

    As in `mix`, fractions of epochs are keyed draws, copies have the same id and `epoch` 0, 1, ..., and all copies are shuffled
    over the shards. A document without a copy is dropped: `not-sampled`, with its epochs; one without a value: `no-value`.
    Documents of an evaluation split are in no ranking. Behind the step `split` each is written once; else they are dropped
    (`evaluation`): `evaluation-split`. Behind this step, repeats are duplicates: deduplicate before.

    Raises:
        RecipeError: documents lack a column, it holds no numbers, or documents have a column `epoch` already.

    >>> Upsample(by="quality", curve=((0.4, 0), (0.95, 2), (1, 7))).epochs_at(np.array([0.2, 0.675, 1.0]))
    array([0., 1., 7.])
    """

    name: ClassVar[str] = "upsample"
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = "cross"
    moves: ClassVar[bool] = True
    example: ClassVar[str] = "{by: quality, curve: [[0.4, 0], [0.95, 2], [1, 7]]}"

    by: str = Field(min_length=1, description="Numeric column by which documents are ranked.")
    curve: tuple[tuple[float, float], ...] = Field(
        ((0.4, 0.0), (0.4, 1.0), (0.95, 3.0), (1.0, 7.0)),
        min_length=1,
        description="Points [share of the ranking, epochs], both rising; two points of one share are a step.",
    )
    unit: Literal["documents", "bytes"] = Field("documents", description="What shares of the ranking count.")
    within: str | None = Field(None, min_length=1, description="Column whose values are ranked one by one.")
    shards: int | None = Field(None, ge=1, le=100_000, description="Shards to write; by default from `shard_bytes`.")
    shard_bytes: int = Field(64 << 20, ge=1 << 10, description="Text of one shard, where `shards` is not given.")

    @model_validator(mode="after")
    def _rises(self) -> Upsample:
        shares, epochs = zip(*self.curve, strict=True)
        if any(not 0 <= q <= 1 for q in shares) or list(shares) != sorted(shares):
            raise ValueError("`curve`: shares of the ranking rise from 0 to 1")
        if any(not 0 <= e <= 100 for e in epochs) or list(epochs) != sorted(epochs) or epochs[-1] == 0:
            raise ValueError("`curve`: epochs rise from 0 on, at most to 100, and the last is above 0")
        return self

    def libraries(self) -> tuple[str, ...]:
        return ()

    def epochs_at(self, shares: np.ndarray) -> np.ndarray:
        """The epochs float64 [n] of places in the ranking."""
        q, e = (np.array(c, np.float64) for c in zip(*self.curve, strict=True))
        right = np.searchsorted(q, shares, side="right")
        left = np.maximum(right - 1, 0)
        right = np.minimum(right, len(q) - 1)
        width = np.where(q[right] > q[left], q[right] - q[left], 1.0)
        part = np.clip((shares - q[left]) / width, 0.0, 1.0)
        return np.where(shares < q[0], e[0], e[left] + part * (e[right] - e[left]))

    def keys(self, rnd: int, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        if not batch.num_rows:
            return empty_batch(_SENT)
        if EPOCH in batch.schema.names:
            raise RecipeError("upsample writes a column `epoch`, which documents have already; repeat once, or drop it")
        group, value = self._placed(batch)
        length = pc.binary_length(batch.column("text")).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        size = np.ones(batch.num_rows, np.int64) if self.unit == "documents" else length
        dropped, once = self._apart(batch)
        counted = (~np.isnan(value) & ~dropped) | once
        # evaluation documents have no place in a ranking: they count for the number of shards only
        group, value = np.where(once, np.uint64(0), group), np.where(once, np.nan, value)
        columns = [np.zeros(batch.num_rows, np.uint64), rows.astype(np.uint32), group, value, size, length]
        return pa.RecordBatch.from_arrays([pa.array(c[counted]) for c in columns], schema=_SENT)

    def decide(self, rnd: int, keys: pa.Table) -> Decided:
        ranked = ~np.isnan(keys["value"].to_numpy())
        aside, keys = keys.filter(pa.array(~ranked)), keys.filter(pa.array(ranked))
        group, value, size, length, shard = (keys[c].to_numpy() for c in ("group", "value", "size", "bytes", "shard"))
        order = np.lexsort((value, group))
        group, value, size, length = group[order], value[order], size[order], length[order]
        found, planned = [], 0.0
        for begin, end in _runs(group):
            edges, epochs = self._curve(value[begin:end], size[begin:end])
            place = np.searchsorted(edges, value[begin:end], side="right") - 1
            planned += float((epochs[place] * length[begin:end]).sum())
            found.append((group[begin], edges, epochs))
        shards = self.shards or max(1, -(-(int(planned) + (pc.sum(aside["bytes"]).as_py() or 0)) // self.shard_bytes))
        # a shard with evaluation documents learns the number of shards from a line without an edge
        to = np.unique(aside["shard"].to_numpy())
        alone = {"shard": to, "row": 0, "group": 0, "edge": np.nan, "epochs": 1.0, "shards": shards}
        filled = [pa.array(np.full(len(to), alone[f.name]).astype(f.type.to_pandas_dtype())) for f in _DECISIONS]
        parts = [pa.Table.from_arrays(filled, schema=_DECISIONS)]
        pairs = set(zip(keys["group"].to_pylist(), shard.tolist(), strict=True))
        for name, edges, epochs in found:
            for to in sorted(s for g, s in pairs if g == int(name)):
                n = len(edges)
                columns = [
                    np.full(n, to, np.uint32),
                    np.zeros(n, np.uint32),
                    np.full(n, name, np.uint64),
                    edges,
                    epochs,
                ]
                columns.append(np.full(n, shards, np.uint32))
                parts.append(pa.Table.from_arrays([pa.array(c) for c in columns], schema=_DECISIONS))
        return Decided(pa.concat_tables([_DECISIONS.empty_table(), *parts]), {}, shards)

    def _curve(self, value: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(lowest value of each quantile, its epochs) of sorted values."""
        first = np.ones(len(value), np.bool_)
        first[1:] = value[1:] != value[:-1]
        starts = np.flatnonzero(first)
        sizes = np.add.reduceat(size, starts).astype(np.float64)
        total = max(float(sizes.sum()), 1.0)
        middle = (np.cumsum(sizes) - sizes / 2) / total
        # equal values are one place of the ranking; places of one quantile are read equally often
        quantile = np.minimum((middle * BINS).astype(np.int64), BINS - 1)
        begins = np.flatnonzero(np.append(True, quantile[1:] != quantile[:-1]))
        weight = np.maximum(sizes, 1e-9)
        epochs = np.add.reduceat(self.epochs_at(middle) * weight, begins) / np.add.reduceat(weight, begins)
        return value[starts][begins], epochs

    def route(self, batch: pa.RecordBatch, decisions: pa.Table, rng: Keyed) -> Routed:
        shards = int(decisions["shards"][0].as_py()) if decisions.num_rows else 1
        epochs = np.zeros(batch.num_rows)
        group, value = self._placed(batch) if batch.num_rows else (np.zeros(0, np.uint64), np.zeros(0))
        decisions = decisions.filter(pa.array(~np.isnan(decisions["edge"].to_numpy())))
        known, edge, often = (decisions[c].to_numpy() for c in ("group", "edge", "epochs"))
        order = np.lexsort((edge, known))
        known, edge, often = known[order], edge[order], often[order]
        for begin, end in _runs(known):
            mine = group == known[begin]
            place = np.searchsorted(edge[begin:end], value[mine], side="right") - 1
            epochs[mine] = often[begin:end][np.maximum(place, 0)]
        dropped, once = self._apart(batch)
        lost = {"evaluation-split": dropped, "no-value": np.isnan(value) & ~once}
        routed, _ = repeated(self.name, batch, np.where(once, 1.0, epochs), shards, rng, lost)
        return replace(routed, details=self._counted(batch, once))

    def _placed(self, batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
        """(hash of each document's group uint64 [n], its value float64 [n])."""
        value = numbers(batch, self.by, "upsample.by").fill_null(np.nan).to_numpy(zero_copy_only=False)
        if self.within is None:
            return np.zeros(batch.num_rows, np.uint64), value
        return hash64(labels(batch, self.within, "upsample.within").fill_null("")), value


def _runs(values: np.ndarray) -> list[tuple[int, int]]:
    """(begin, end) of runs of equal values."""
    if not len(values):
        return []
    starts = np.flatnonzero(np.append(True, values[1:] != values[:-1])).tolist()
    return list(zip(starts, [*starts[1:], len(values)], strict=True))
