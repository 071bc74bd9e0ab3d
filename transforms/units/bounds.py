"""Whose a document is, and how much a unit of privacy may give: which of its rows stay."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from corpusmill.transforms.columns import labels
from corpusmill.transforms.errors import RecipeError

UNIT = "unit"
"""Column of the unit of privacy that a document belongs to; whatever is derived from it inherits the column."""


def unit_values(batch: pa.RecordBatch, by: str, step: str) -> pa.Array:
    """The unit of each document, as the column `by` says: a string array without nulls.

    Raises:
        RecipeError: documents have no such column, or one without a value, or one of several values.
    """
    if by not in batch.schema.names:
        raise RecipeError(
            f"{step}.by: documents have no column `{by}`; they have {', '.join(batch.schema.names)}. Name the user column, or "
            "put the step `unit` before"
        )
    column = batch.column(by)
    if pa.types.is_nested(column.type):
        raise RecipeError(
            f"{step}.by: `{by}` holds {column.type}: a document of several owners belongs to no one unit; keep one of them, or "
            "make one document an owner"
        )
    if column.null_count:
        first = batch.column("id").filter(column.is_null())[0]
        raise RecipeError(f"{step}.by: document {first} has no `{by}`; drop such documents with `where` before")
    return labels(batch, by, f"{step}.by")


def bounded(
    units: np.ndarray,
    draws: np.ndarray,
    max_rows: int | None = None,
    tokens: np.ndarray | None = None,
    max_tokens: int | None = None,
) -> np.ndarray:
    """Which rows stay when each unit keeps at most `max_rows` rows and `max_tokens` tokens: bool [n].

    units: any integers [n], equal for rows of one unit; draws: uint64 [n], the keyed order in which a unit's rows are taken;
    tokens: int64 [n]. A unit's rows are taken in the order of their draws until a bound is reached; a row that is longer than
    `max_tokens` by itself never stays. Which rows stay depends on the unit's own rows only.

    >>> bounded(np.array([7, 7, 7, 8]), np.array([3, 1, 2, 9], np.uint64), max_rows=2).tolist()
    [False, True, True, True]
    """
    n = len(units)
    usable = np.ones(n, np.bool_)
    if max_tokens is not None:
        if tokens is None:
            raise RecipeError("a bound on tokens needs the number of tokens of each row.")
        usable = tokens <= max_tokens
    rows = np.flatnonzero(usable)
    rows = rows[np.lexsort((draws[rows], units[rows]))]
    u = units[rows]
    first = np.ones(len(rows), np.bool_)
    first[1:] = u[1:] != u[:-1]
    begin = np.maximum.accumulate(np.where(first, np.arange(len(rows)), 0))
    stays = np.ones(len(rows), np.bool_)
    if max_rows is not None:
        stays &= np.arange(len(rows)) - begin < max_rows
    if max_tokens is not None and tokens is not None:
        total = np.cumsum(tokens[rows])
        before = total[begin] - tokens[rows[begin]] if len(rows) else total
        stays &= total - before <= max_tokens
    kept = np.zeros(n, np.bool_)
    kept[rows[stays]] = True
    return kept
