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

    One partition decides for one group, on 36 bytes a document. A refresh decides anew.

    Raises:
        RecipeError: documents lack the column, or it holds no numbers.

    >>> Top(by="quality", share=0.4, within="lang").unit
    'documents'
    """

    name: ClassVar[str] = "top"
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = "cross"

    by: str = Field(min_length=1, description="Numeric column whose highest values are kept.")
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
        values = numbers(batch, self.by, "top.by").fill_null(np.nan).to_numpy(zero_copy_only=False)
        groups = np.zeros(batch.num_rows, np.uint64)
        if self.within is not None:
            groups = hash64(labels(batch, self.within, "top.within").fill_null(""))
        sizes = np.ones(batch.num_rows, np.int64)
        if self.unit == "bytes":
            sizes = pc.binary_length(batch.column("text")).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        draws = Keyed(self.seed, self.name).keys(batch)
        columns = [groups, rows.astype(np.uint32), values, sizes, draws]
        return pa.RecordBatch.from_arrays([pa.array(c) for c in columns], schema=_SENT)

    def decide(self, rnd: int, keys: pa.Table) -> Decided:
        group, value, size, draw = (keys[c].to_numpy() for c in ("key", "value", "size", "order"))
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

    def apply(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table) -> Applied:
        at = np.searchsorted(rows, decisions["row"].to_numpy()).astype(np.int64)
        values = decisions["value"].to_numpy()
        reasons = np.where(np.isnan(values), "no-value", "below-top").tolist()
        return Applied.without(batch, at, reasons, values.tolist())
