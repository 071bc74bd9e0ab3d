"""Keeps equally many pseudo-labelled documents of each class, the most confident ones."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from corpusmill.transforms.base import Applied, Decided, Group, Stability
from corpusmill.transforms.columns import labels, numbers
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.generate.select import balanced
from corpusmill.transforms.hashing import hash64
from corpusmill.transforms.random import Keyed


class ClassBalance(Group):
    """Keeps, of each label, the documents with the highest `confidence`: `share` of all, divided evenly over the labels.

    Source: class-balanced self-training (Zou et al. 2018); see `corpusmill.transforms.generate.select.balanced`. Documents
    whose label or confidence is null, such as those that people labelled, are kept and not counted. Equal confidences are
    ordered by a hash of the id.

    One partition decides, on 28 bytes a document. Raises RecipeError where documents have no column `label` or `confidence`.
    """

    name: ClassVar[str] = "class-balance"
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = "cross"

    share: float = Field(0.2, gt=0, le=1, description="share of the pseudo-labelled documents that is kept at most")
    seed: int = Field(1, ge=0, description="of the order among equals")

    def libraries(self) -> tuple[str, ...]:
        return ()

    def keys(self, rnd: int, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        n, names = batch.num_rows, batch.schema.names
        for name in ("label", "confidence"):
            if n and name not in names:
                raise RecipeError(
                    f"class-balance: documents have no column `{name}`; put the step `pseudo-label` before"
                )
        confidence, label = pa.nulls(n, pa.float64()), pa.nulls(n, pa.string())
        if "confidence" in names:
            confidence = numbers(batch, "confidence", "class-balance")
        if "label" in names:
            label = labels(batch, "label", "class-balance")
        counts = np.flatnonzero(pc.and_(confidence.is_valid(), label.is_valid()).to_numpy(zero_copy_only=False))
        at = pa.array(counts)
        return pa.record_batch(
            {
                "key": pa.array(np.zeros(len(counts), np.uint64)),
                "row": pa.array(rows[counts], pa.uint32()),
                "group": pa.array(hash64(label.take(at))),
                "confidence": confidence.take(at),
                "order": pa.array(Keyed(self.seed, self.name).keys(batch)[counts]),
            }
        )

    def decide(self, rnd: int, keys: pa.Table) -> Decided:
        names, classes = np.unique(keys["group"].to_numpy(), return_inverse=True)
        kept = balanced(classes, keys["confidence"].to_numpy(), keys["order"].to_numpy(), self.share, len(names))
        dropped = np.ones(keys.num_rows, np.bool_)
        dropped[kept] = False
        return Decided(keys.select(["shard", "row", "confidence"]).filter(pa.array(dropped)))

    def apply(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table) -> Applied:
        place = np.searchsorted(rows, decisions.column("row").to_numpy()).astype(np.int64)
        values = decisions.column("confidence").to_pylist()
        return Applied.without(batch, place, ["rank"] * len(place), values)
