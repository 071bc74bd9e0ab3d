"""The column that says whose a document is, for steps that derive documents to hand on."""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa
from pydantic import Field

from transforms.arrow import set_column
from transforms.base import Map, Stability
from transforms.errors import RecipeError
from transforms.random import Keyed
from transforms.units.bounds import UNIT


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

    def map(self, batch: pa.RecordBatch, rng: Keyed) -> pa.RecordBatch:
        if UNIT in batch.schema.names:
            raise RecipeError("unit: documents have a column `unit` already; drop the step, or the column")
        if self.by not in batch.schema.names:
            raise RecipeError(
                f"unit.by: documents have no column `{self.by}`; they have {', '.join(batch.schema.names)}"
            )
        column = batch.column(self.by)
        if pa.types.is_nested(column.type):
            raise RecipeError(
                f"unit.by: `{self.by}` holds {column.type}: a document of several owners belongs to no one unit; keep one of "
                "them, or make one document an owner"
            )
        column = column.cast(pa.string())
        if column.null_count:
            first = batch.column("id").filter(column.is_null())[0]
            raise RecipeError(f"unit.by: document {first} has no `{self.by}`; drop such documents with `where` before")
        return set_column(batch, UNIT, column)
