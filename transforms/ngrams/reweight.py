"""Weights that make common text rarer without dropping it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from corpusmill.transforms.arrow import empty_batch, set_column
from corpusmill.transforms.base import Applied, Decided
from corpusmill.transforms.ngrams._learning import NgramGroup, added

_SENT = pa.schema([("key", pa.uint64()), ("row", pa.uint32()), ("common", pa.float64()), ("size", pa.int64())])
_DECISIONS = pa.schema([("shard", pa.uint32()), ("row", pa.uint32()), ("weight", pa.float64())])
_TABLE = pa.schema(
    [
        ("segment", pa.int32()),
        ("documents", pa.int64()),
        ("bytes", pa.int64()),
        ("commonness", pa.float64()),
        ("weight", pa.float64()),
    ]
)


class Reweight(NgramGroup):
    """Writes a sampling weight: low for documents whose n-grams are common in the corpus, high for rare ones.

    Source: in the manner of SoftDeDup (He et al. 2024, arXiv 2407.06654), which lowers the weight of common text where
    deduplication would drop it. A document's commonness is the geometric mean of the probabilities of its symbols under
    an n-gram model of the corpus: learned in the run from all documents (or a `sample` of them), from `like` or `like_source`, or a
    file (`model`). Documents are cut by commonness into `segments` of equal size in bytes. A segment's weight is inversely
    proportional to the mean of its commonness; the largest is at most `ratio` times the smallest, and the mean over all bytes is 1.

    `mix` and `pack` read a document as often as its weight says (`weight: weight`). Documents without words, and those of
    `like_source`, have weight 1. The side table `reweight` shows the segments. A refresh learns anew.

    Raises:
        BadFileError: `model` is damaged, or of another format. RecipeError: there is nothing to learn from.

    >>> Reweight(ratio=4).order
    4
    """

    name: ClassVar[str] = "reweight"
    version: ClassVar[int] = 1
    example: ClassVar[str] = "{ratio: 5}"
    refusal: ClassVar[tuple[str, str]] = (
        "how common a text is follows from the documents of all units",
        "leave it out; or run it on public data in a recipe of its own",
    )
    learns_from_all: ClassVar[bool] = True

    model: str | None = Field(None, min_length=1, description="File of a model that is used in place of a learned one.")
    order: int = Field(4, ge=2, le=5, description="Longest n-gram of a model that is learned.")
    segments: int = Field(100, ge=2, le=10_000, description="Parts of equal size that get one weight each.")
    ratio: float = Field(5.0, gt=1, le=1000, description="How many times the smallest weight the largest may be.")
    column: str = Field("weight", min_length=1, description="Column to write.")

    def models(self) -> dict[str, str]:
        return {} if self.model is None else {"": self.model}

    def scores(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        chosen = self.pool(batch)
        batch, rows = batch.filter(pa.array(chosen)), rows[chosen]
        models = self.model_of(decisions)
        if not batch.num_rows or not models:
            return empty_batch(_SENT)
        log_p, n = self.logs(batch, models[""], self.name)
        size = pc.binary_length(batch.column("text")).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        has = n > 0
        common = np.exp(log_p / (n + 1))[has]
        return added([np.zeros(len(common), np.uint64), rows[has].astype(np.uint32), common, size[has]], _SENT)

    def decide_scores(self, keys: pa.Table) -> Decided:
        if not keys.num_rows:
            return Decided(_DECISIONS.empty_table(), {"reweight": _TABLE.empty_table()})
        common, size = keys["common"].to_numpy(), keys["size"].to_numpy()
        values, which = np.unique(common, return_inverse=True)
        sizes = np.bincount(which, size, len(values))
        middle = (np.cumsum(sizes) - sizes / 2) / sizes.sum()
        # documents of equal commonness are in one segment
        segment = np.minimum((middle * self.segments).astype(np.int64), self.segments - 1)
        used, place = np.unique(segment, return_inverse=True)
        held = np.bincount(place, sizes)
        mean = np.bincount(place, values * sizes) / held
        weight = 1.0 / mean
        weight = np.maximum(weight, weight.max() / self.ratio)
        weight /= float((weight * held).sum() / held.sum())
        documents = np.bincount(place[which])
        table = pa.table([used, documents, held.astype(np.int64), mean, weight], names=_TABLE.names).cast(_TABLE)
        columns = [keys["shard"], keys["row"], pa.array(weight[place[which]])]
        return Decided(pa.table(columns, schema=_DECISIONS), {"reweight": table})

    def apply(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table) -> Applied:
        weight = np.ones(batch.num_rows)
        weight[np.searchsorted(rows, decisions["row"].to_numpy())] = decisions["weight"].to_numpy()
        return Applied(set_column(batch, self.column, pa.array(weight)), np.zeros(0, np.int64), [], [], [])
