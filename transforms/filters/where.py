"""Filter by the value of a column."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from corpusmill.transforms.base import Filter, Stability, Verdict
from corpusmill.transforms.columns import plain
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.filters.rules import Rules
from corpusmill.transforms.random import Keyed

Value = str | int | float | bool


class Where(Filter):
    """Keep the documents whose column has one of some values, or a value in a range.

    Null counts as no value: `keep`, `min_value` and `max_value` drop it, and `drop` keeps it. Values are compared as they are:
    no whole number equals 1.5. An unknown column, or values of another kind than the column's, are errors. Dates and times are
    written as text, as in `keep: ["2024-05-01"]`.

    >>> batch = pa.record_batch({"id": ["a", "b", "c"], "text": ["", "", ""], "year": [2019, 2024, None]})
    >>> Where(column="year", min_value=2020)(batch).column("id").to_pylist()
    ['b']
    """

    name: ClassVar[str] = "where"
    version: ClassVar[int] = 2
    stability: ClassVar[Stability] = "record"
    example: ClassVar[str] = "{column: year, min_value: 2020}"

    column: str = Field(min_length=1, description="the column to look at")
    keep: tuple[Value, ...] | None = Field(None, description="documents with another value are dropped")
    drop: tuple[Value, ...] | None = Field(None, description="documents with one of these values are dropped")
    min_value: float | None = Field(None, description="documents with a smaller value are dropped")
    max_value: float | None = Field(None, description="documents with a larger value are dropped")

    @model_validator(mode="after")
    def _says_something(self) -> Where:
        if self.keep is None and self.drop is None and self.min_value is None and self.max_value is None:
            raise ValueError("nothing is asked for: set keep, drop, min_value or max_value")
        return self

    def libraries(self) -> tuple[str, ...]:
        return ()

    def judge(self, batch: pa.RecordBatch, rng: Keyed) -> Verdict:
        """Score: value, where the column is a number."""
        if self.column not in batch.schema.names:
            raise RecipeError(f"where: no column `{self.column}`; the documents have {', '.join(batch.schema.names)}.")
        column = plain(batch, self.column, "where.column")
        rules = Rules(len(batch))
        value = np.full(len(batch), np.nan)
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            # the nearest float64 of an integer beyond 2^53
            value = column.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy(zero_copy_only=False)
            rules.scores["value"] = value
        elif pa.types.is_null(column.type):  # a file may hold no value at all
            rules.scores["value"] = value
        elif self.min_value is not None or self.max_value is not None:
            raise RecipeError(
                f"where: column `{self.column}` holds {column.type}, which min_value and max_value cannot bound."
            )
        if self.keep is not None:
            rules.broken("keep", ~self._is_in(column, self.keep), value)
        if self.drop is not None:
            rules.broken("drop", self._is_in(column, self.drop), value)
        with np.errstate(invalid="ignore"):
            if self.min_value is not None:
                rules.broken("min_value", ~(value >= self.min_value), value)
            if self.max_value is not None:
                rules.broken("max_value", ~(value <= self.max_value), value)
        return rules.verdict()

    def _is_in(self, column: pa.Array, values: tuple[Value, ...]) -> np.ndarray:
        kind = column.type
        if pa.types.is_null(kind):
            return np.zeros(len(column), np.bool_)
        converted = [_as_type(v, kind) for v in values]
        for value, scalar in zip(values, converted):
            if scalar is NotImplemented:
                raise RecipeError(f"where: column `{self.column}` holds {kind}, which is never {value!r}.")
        wanted = pa.array([scalar for scalar in converted if scalar is not None], kind)
        return pc.is_in(column, wanted).to_numpy(zero_copy_only=False)


def _as_type(value: Value, kind: pa.DataType) -> Any:
    """`value` as a scalar of `kind`; None if no value of the kind equals it, NotImplemented if the two cannot be compared."""
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    try:
        if pa.types.is_boolean(kind):
            return pa.scalar(value, kind) if isinstance(value, bool) else NotImplemented
        if pa.types.is_integer(kind):
            if number is None:
                return NotImplemented
            return pa.scalar(int(number), kind) if number == number // 1 else None
        if pa.types.is_floating(kind):
            if number is None:
                return NotImplemented
            return pa.scalar(float(number), kind) if number != number or float(number) == number else None
        if pa.types.is_decimal(kind):
            return pa.scalar(Decimal(str(number)), kind) if number is not None else NotImplemented
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            return pa.scalar(value, kind) if isinstance(value, str) else NotImplemented
        if pa.types.is_temporal(kind) and isinstance(value, str):
            return pa.scalar(value).cast(kind)
    except (ValueError, OverflowError, pa.ArrowException):  # beyond the range of the type, or no date
        return NotImplemented if pa.types.is_temporal(kind) else None
    return NotImplemented
