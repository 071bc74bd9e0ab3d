"""The column that says whose a document is, for steps that derive documents to hand on."""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa
from pydantic import Field

from corpusmill.transforms.arrow import set_column
from corpusmill.transforms.base import Map, Stability
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.units.bounds import UNIT, unit_values


class Unit(Map):
    """Writes the column `unit`: the unit of privacy of each document, which all that is derived from it inherits.

    Source: the unit of differential privacy as in Dwork and Roth 2014, section 2.3, named for every record. Put it before the
    first step that derives documents. Without a user column each document is a unit of its own.

    Raises:
        RecipeError: documents have no such column, or one without a value; or they have a column `unit` already.

    >>> batch = pa.record_batch({"id": ["a", "b"], "text": ["x", "y"], "user": ["ann", "ann"]})
    >>> Unit(by="user")(batch).column("unit").to_pylist()
    ['ann', 'ann']
    """

    name: ClassVar[str] = "unit"
    stability: ClassVar[Stability] = "record"

    by: str = Field("id", min_length=1, description="Column whose values are the units: `user`, or `id` for documents.")

    def libraries(self) -> tuple[str, ...]:
        return ()

    def unit_column(self) -> str:
        return self.by

    def map(self, batch: pa.RecordBatch, rng: Keyed) -> pa.RecordBatch:
        if UNIT in batch.schema.names:
            raise RecipeError("unit: documents have a column `unit` already; drop the step, or the column")
        return set_column(batch, UNIT, unit_values(batch, self.by, self.name))
