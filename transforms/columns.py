"""Reads a column that a step adopts by its name, with one clear error where it holds values of another type.

No value is changed on the way: a fractional number never becomes a whole one, and what is not text is not read as text.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.transforms.errors import RecipeError


def plain(batch: pa.RecordBatch, name: str, where: str) -> pa.Array:
    """The column `name` without a dictionary. where: the field that names it, as in `mix.by`, for the error.

    Raises:
        RecipeError: there is no such column.
    """
    if name not in batch.schema.names:
        raise RecipeError(f"{where}: documents have no column `{name}`; they have {', '.join(batch.schema.names)}")
    column = batch.column(name)
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def labels(batch: pa.RecordBatch, name: str, where: str) -> pa.Array:
    """Values that name something (a domain, a unit, a class) as a string array with the column's nulls.

    Text, whole numbers, true and false, dates and times name something. Floats do where all are whole, as in files that have
    no integers with nulls.

    Raises:
        RecipeError: the column is missing, or holds fractional numbers, bytes or nested values.
    """
    column = plain(batch, name, where)
    kind = column.type
    if pa.types.is_floating(kind):
        column, kind = whole_numbers(batch, name, where), pa.int64()
    named = pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_temporal(kind)
    if _is_text(kind) or pa.types.is_null(kind) or (named and not pa.types.is_duration(kind)):
        return column.cast(pa.string())
    raise RecipeError(
        f"{where}: the column `{name}` holds {kind}; name a column of text, whole numbers, or true and false"
    )


def whole_numbers(batch: pa.RecordBatch, name: str, where: str) -> pa.Array:
    """Whole numbers as an int64 array with the column's nulls.

    Raises:
        RecipeError: the column is missing, or holds anything else; the message names the first document with a fraction.
    """
    column = plain(batch, name, where)
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind):
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid:
            raise RecipeError(f"{where}: the column `{name}` holds {_odd(batch, column)}; give whole numbers") from None
    raise RecipeError(f"{where}: the column `{name}` holds {kind}; give whole numbers")


def numbers(batch: pa.RecordBatch, name: str, where: str) -> pa.Array:
    """Numbers as a float64 array with the column's nulls; whole numbers beyond 2^53 become the nearest float64.

    Raises:
        RecipeError: the column is missing, or holds no numbers.
    """
    column = plain(batch, name, where)
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        return column.cast(pa.float64(), safe=False)
    raise RecipeError(f"{where}: the column `{name}` holds {kind}; name a column of numbers")


def weights(batch: pa.RecordBatch, name: str, where: str) -> np.ndarray:
    """Sampling weights, one a document: float64 [n], from 0 to 1000.

    Raises:
        RecipeError: the column is missing, or holds anything else; the message names the first such document.
    """
    found = numbers(batch, name, where).fill_null(np.nan).to_numpy(zero_copy_only=False)
    odd = np.flatnonzero(~((found >= 0) & (found <= 1000)))
    if len(odd):
        raise RecipeError(
            f"{where}: document {batch.column('id')[int(odd[0])]} has `{name}` {found[odd[0]]}; weights are numbers from 0 to 1000"
        )
    return found


def texts(batch: pa.RecordBatch, name: str, where: str) -> pa.Array:
    """Text as a string array with the column's nulls.

    Raises:
        RecipeError: the column is missing, or holds anything else.
    """
    column = plain(batch, name, where)
    if _is_text(column.type) or pa.types.is_null(column.type):
        return column.cast(pa.string())
    raise RecipeError(f"{where}: the column `{name}` holds {column.type}; name a column of text")


def token_lists(batch: pa.RecordBatch, name: str, where: str) -> pa.Array:
    """Lists of whole numbers, one a document; null counts as an empty list.

    Raises:
        RecipeError: the column is missing, or holds anything else.
    """
    column = plain(batch, name, where)
    kind = column.type
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not listed or not pa.types.is_integer(kind.value_type):
        raise RecipeError(f"{where}: the column `{name}` holds {kind}; token ids are lists of whole numbers")
    if pa.types.is_fixed_size_list(kind):
        column = column.cast(pa.list_(kind.value_type))
    column = column.fill_null([]) if column.null_count else column
    if column.flatten().null_count:
        lost = pc.list_parent_indices(column).filter(column.flatten().is_null())[0].as_py()
        raise RecipeError(f"{where}: a token id of document {batch.column('id')[lost]} is null")
    return column


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _odd(batch: pa.RecordBatch, column: pa.Array) -> str:
    """The first value that is no int64, with its document."""
    values = column.cast(pa.float64(), safe=False).fill_null(0).to_numpy(zero_copy_only=False)
    row = int(np.flatnonzero(~((values == np.floor(values)) & (np.abs(values) < 2.0**63)))[0])
    document = f" in document {batch.column('id')[row]}" if "id" in batch.schema.names else ""
    return f"{column[row]}{document}"
