"""The documents of evaluation splits in steps that repeat and sample: dropped, or written once beside the sampled ones."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from corpusmill.transforms.base import Group
from corpusmill.transforms.columns import labels
from corpusmill.transforms.manifest import EVALUATION
from corpusmill.transforms.noise.copies import EVALUATION_SPLITS


def splits_of(batch: pa.RecordBatch, where: str) -> pa.Array:
    """The split of each document in lower case. where: the field that asks, for errors."""
    return pc.utf8_lower(labels(batch, "split", where))


def of_evaluation(batch: pa.RecordBatch, splits: Collection[str], where: str) -> np.ndarray:
    """bool [n]: documents whose column `split` has one of these values, in any case. where: the field that asks, for errors."""
    if "split" not in batch.schema.names or not splits:
        return np.zeros(batch.num_rows, np.bool_)
    hit = pc.is_in(splits_of(batch, where), pa.array([s.lower() for s in splits], pa.string()))
    return hit.to_numpy(zero_copy_only=False).astype(np.bool_)


class SparesEvaluation(Group):
    """Base of steps that repeat and sample training documents only."""

    skip_splits: tuple[str, ...] = Field(
        EVALUATION_SPLITS,
        description="Values of the column `split` that mark evaluation documents. Shares, weights and epochs do not count them; "
        "`evaluation` says what becomes of them. An empty list treats all documents alike.",
    )
    evaluation: Literal["once", "drop"] | None = Field(
        None,
        description="`once`: each evaluation document is written once, unweighted, with `epoch` 0. `drop`: they are dropped. By "
        "default `once` behind a step `split`, else `drop`.",
    )

    def behind(self, names: Collection[str]) -> Self:
        if self.evaluation is not None or "split" not in names or not self.skip_splits:
            return self
        return self.model_copy(update={"evaluation": "once"})

    def fingerprint(self) -> str:
        return self._fingerprint_without(self._unused())

    def _unused(self) -> tuple[str, ...]:
        """Fields that were added later and change nothing as they stand."""
        return () if self.evaluation == "once" else ("evaluation",)

    def _apart(self, batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
        """(evaluation documents to drop, those to write once), bool [n] each."""
        found = of_evaluation(batch, self.skip_splits, f"{self.name}.skip_splits")
        none = np.zeros(batch.num_rows, np.bool_)
        return (none, found) if self.evaluation == "once" else (found, none)

    def _counted(self, batch: pa.RecordBatch, once: np.ndarray) -> dict[str, int]:
        """Figures for the funnel: the documents of each evaluation split that are written once. once: bool [n]."""
        if not once.any():
            return {}
        counts = pc.value_counts(splits_of(batch, f"{self.name}.skip_splits").filter(pa.array(once)))
        return {f"{EVALUATION}{c['values']}": c["counts"] for c in counts.to_pylist()}
