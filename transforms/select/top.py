"""Keeps the documents with the highest values of a column."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from corpusmill.transforms.base import Applied, Decided, Group, Stability
from corpusmill.transforms.columns import labels, numbers
from corpusmill.transforms.hashing import hash64
from corpusmill.transforms.random import Keyed

_SENT = pa.schema(
    {
        "key": pa.uint64(),
        "row": pa.uint32(),
        "value": pa.float64(),
        "more": pa.list_(pa.float64()),
        "size": pa.int64(),
        "order": pa.uint64(),
    }
)


class Top(Group):
    """Keeps the share of the documents that have the highest values of a numeric column, exactly.

    Use it behind a step that writes a score, such as `quality`. With `within`, each group of documents (each language,
    each source) keeps its own share, as Nemotron-CC (Su et al. 2024, arXiv 2412.02595) and CCNet (Wenzek et al. 2020) cut
    per language. Among equal values, a draw keyed by (`seed`, id) decides. A document without a value (null, nan) is
    dropped: `no-value`; one outside the share: `below-top`, with its value.

    With several columns in `by`, documents are ranked by each, and by the mean or the highest of their ranks: an ensemble of
    scorers whose scales differ, as in Nemotron-CC. The value of a dropped document is then that rank, from 0 to 1.

    One partition decides for one group, on 36 bytes a document. A refresh decides anew.

    Raises:
        RecipeError: documents lack the column, or it holds no numbers.

    >>> Top(by="quality", share=0.4, within="lang").unit
    'documents'
    """

    name: ClassVar[str] = "top"
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = "cross"

    by: str | tuple[str, ...] = Field(
        min_length=1, description="Numeric column whose highest values are kept; or several, whose ranks are combined."
    )
    combine: Literal["mean", "max"] = Field(
        "mean", description="With several columns: mean or highest of a document's ranks."
    )
    share: float | None = Field(None, gt=0, le=1, description="Share to keep, counted in `unit`.")
    budget: int | None = Field(None, ge=1, description="How much to keep at most, in `unit`.")
    unit: Literal["documents", "bytes"] = Field("documents", description="What is counted: documents or bytes of text.")
    within: str | None = Field(
        None, min_length=1, description="Column whose values are groups that are cut one by one."
    )
    lowest: bool = Field(False, description="Keep the lowest values instead, as of a perplexity.")
    seed: int = Field(1, ge=0, description="Seed of the order among equal values.")

    @model_validator(mode="after")
    def _one_limit(self) -> Top:
        if (self.share is None) == (self.budget is None):
            raise ValueError("say how much to keep, either by `share` or by `budget`")
        return self

    def keys(self, rnd: int, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        if not batch.num_rows:
            return pa.RecordBatch.from_pylist([], _SENT)
        names = (self.by,) if isinstance(self.by, str) else self.by
        every = [numbers(batch, name, "top.by").fill_null(np.nan).to_numpy(zero_copy_only=False) for name in names]
        values = every[0]
        more = pa.FixedSizeListArray.from_arrays(pa.array(np.stack(every, 1).ravel()), len(names)).cast(
            _SENT.field("more").type
        )
        if len(names) == 1:
            more = pa.nulls(batch.num_rows, _SENT.field("more").type)
        groups = np.zeros(batch.num_rows, np.uint64)
        if self.within is not None:
            groups = hash64(labels(batch, self.within, "top.within").fill_null(""))
        sizes = np.ones(batch.num_rows, np.int64)
        if self.unit == "bytes":
            sizes = pc.binary_length(batch.column("text")).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        draws = Keyed(self.seed, self.name).keys(batch)
        columns = [groups, rows.astype(np.uint32), values, more, sizes, draws]
        return pa.RecordBatch.from_arrays(
            [c if isinstance(c, pa.Array) else pa.array(c) for c in columns], schema=_SENT
        )

    def decide(self, rnd: int, keys: pa.Table) -> Decided:
        group, value, size, draw = (keys[c].to_numpy() for c in ("key", "value", "size", "order"))
        if isinstance(self.by, tuple) and len(self.by) > 1:
            value = self._combined(keys, group)
            keys = keys.set_column(keys.column_names.index("value"), "value", pa.array(value))
        missing = np.isnan(value)
        rank = np.where(missing, np.inf, value if self.lowest else -value)
        order = np.lexsort((draw, rank, group))
        group, size, missing = group[order], size[order], missing[order]
        counted = np.where(missing, 0, size)
        starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]]) if len(order) else np.zeros(0, np.int64)
        which = np.cumsum(np.isin(np.arange(len(order)), starts)) - 1
        total = np.add.reduceat(counted, starts) if len(order) else counted
        before = np.r_[0, np.cumsum(total)[:-1]] if len(order) else total
        taken = np.cumsum(counted) - before[which]
        limit = np.full(len(total), self.budget or 0) if self.share is None else np.round(self.share * total)
        dropped = np.sort(order[(taken > limit[which]) | missing])
        at = pa.array(dropped)
        return Decided(keys.select(["shard", "row", "value"]).take(at))

    def _combined(self, keys: pa.Table, group: np.ndarray) -> np.ndarray:
        """float64 [n]: the mean or highest rank of each document in its group, from 0 to 1 for the best; nan where a value is."""
        if not len(group):
            return np.zeros(0)
        flat = keys["more"].combine_chunks().flatten().to_numpy()
        ranks = [ranks_within(group, column) for column in flat.reshape(len(group), -1).T]
        if self.lowest:  # the best document has the lowest values
            return np.asarray(np.mean(ranks, axis=0) if self.combine == "mean" else np.min(ranks, axis=0))
        return np.asarray(np.mean(ranks, axis=0) if self.combine == "mean" else np.max(ranks, axis=0))

    def apply(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table) -> Applied:
        at = np.searchsorted(rows, decisions["row"].to_numpy()).astype(np.int64)
        values = decisions["value"].to_numpy()
        reasons = np.where(np.isnan(values), "no-value", "below-top").tolist()
        return Applied.without(batch, at, reasons, values.tolist())


def ranks_within(group: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The rank of each value in its group, from 0 for the lowest to 1 for the highest; equal values have their mean rank.

    >>> ranks_within(np.array([1, 1, 1, 2]), np.array([5.0, 9.0, 5.0, 1.0])).tolist()
    [0.25, 1.0, 0.25, 1.0]
    """
    order = np.lexsort((value, group))
    g, v = group[order], value[order]
    starts = np.flatnonzero(np.append(True, g[1:] != g[:-1]))
    which = np.cumsum(np.append(True, g[1:] != g[:-1])) - 1
    known = np.add.reduceat((~np.isnan(v)).astype(np.int64), starts)
    ties = np.append(True, (g[1:] != g[:-1]) | (v[1:] != v[:-1]))
    begins = np.flatnonzero(ties)
    ends = np.append(begins[1:], len(v)) - 1
    mean = ((begins + ends) / 2)[np.cumsum(ties) - 1] - starts[which]
    span = np.maximum(known[which] - 1, 1)
    ranks = np.where(known[which] == 1, 1.0, mean / span)
    out = np.empty(len(v))
    out[order] = np.where(np.isnan(v), np.nan, ranks)
    return out
