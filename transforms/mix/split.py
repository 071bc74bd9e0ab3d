"""The step `split`: which documents are for training, validation and test."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from corpusmill.transforms.arrow import set_column
from corpusmill.transforms.base import Map, Stability
from corpusmill.transforms.columns import labels
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.random import Keyed, uniform_array

SPLIT = "split"
TRAIN, VALIDATION, TEST = "train", "validation", "test"
"""Values of the column, as Hugging Face names them."""


class Split(Map):
    """Writes the column `split`: `train`, `validation` or `test`.

    Source: assignment by hash as in Zheng 2021, "Stable random splits". The draw u in [0, 1) of (recipe seed, step name, value
    of `by`) decides: u < validation is `validation`, u >= 1 - test is `test`, the rest is `train`. So no document moves between
    refreshes, whatever else comes or goes, and a larger share only takes documents from `train`. Documents of one value stay
    together: name the cluster of near-duplicates, the user or the domain, so that no test document has a twin in training. With
    `column`, a column of the documents decides instead. Derived documents belong to the split of their parent, as far as `by` is
    `id`; put the step before those that derive, and copies inherit the column.

    Raises:
        RecipeError: documents have no column of that name, or a value of `column` is listed in no split.

    >>> batch = pa.record_batch({"id": [str(i) for i in range(1000)], "text": ["x"] * 1000})
    >>> found = Split(validation=0.1, test=0.1)(batch).column("split").to_pylist()
    >>> 70 < found.count("validation") < 130 and 70 < found.count("test") < 130
    True
    """

    name: ClassVar[str] = "split"
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = "record"
    example: ClassVar[str] = "{by: cluster, validation: 0.01}"

    by: str = Field("id", min_length=1, description="documents of one value of this column stay together")
    validation: float = Field(0.01, ge=0, lt=1, description="share of the values whose documents are for validation")
    test: float = Field(0.0, ge=0, lt=1, description="share of the values whose documents are for test")
    column: str | None = Field(None, min_length=1, description="take the split from this column instead of drawing it")
    values: dict[str, tuple[str, ...]] = Field(
        default_factory=lambda: {TRAIN: ("train",), VALIDATION: ("validation", "valid", "val", "dev"), TEST: ("test",)},
        description="with `column`: the values that mean train, validation and test",
    )

    @model_validator(mode="after")
    def _shares(self) -> Split:
        if self.validation + self.test >= 1:
            raise ValueError("validation and test leave nothing to train on; their sum is below 1")
        unknown = set(self.values) - {TRAIN, VALIDATION, TEST}
        if unknown:
            raise ValueError(
                f"values: there is no split {', '.join(sorted(unknown))}; there are train, validation, test"
            )
        return self

    def libraries(self) -> tuple[str, ...]:
        return ()

    def map(self, batch: pa.RecordBatch, rng: Keyed) -> pa.RecordBatch:
        named = self._given(batch) if self.column is not None else self._drawn(batch, rng)
        return set_column(batch, SPLIT, named)

    def _drawn(self, batch: pa.RecordBatch, rng: Keyed) -> pa.Array:
        if self.by not in batch.schema.names:
            raise RecipeError(
                f"split.by: documents have no column `{self.by}`; they have {', '.join(batch.schema.names)}"
            )
        values = labels(batch, self.by, "split.by")
        if self.by == "id" and "parent" in batch.schema.names:
            values = pc.coalesce(batch.column("parent").cast(pa.string()), values)
        draws = uniform_array(rng.keys(pc.coalesce(values, batch.column("id"))))
        codes = np.where(draws < self.validation, 1, np.where(draws >= 1 - self.test, 2, 0))
        return pa.array([TRAIN, VALIDATION, TEST]).take(pa.array(codes))

    def _given(self, batch: pa.RecordBatch) -> pa.Array:
        name = self.column or ""
        if name not in batch.schema.names:
            raise RecipeError(
                f"split.column: documents have no column `{name}`; they have {', '.join(batch.schema.names)}"
            )
        given = labels(batch, name, "split.column")
        found = pa.nulls(batch.num_rows, pa.string())
        for split, means in self.values.items():
            found = pc.if_else(pc.fill_null(pc.is_in(given, pa.array(means, pa.string())), False), split, found)
        if found.null_count:
            first = int(pc.indices_nonzero(pc.is_null(found))[0].as_py())
            raise RecipeError(
                f"split: document {batch.column('id')[first]} has `{name}` = {given[first]}, which is in no split; "
                "list it in `values`, or drop such documents with `where` before"
            )
        return found
