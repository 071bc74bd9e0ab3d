"""A column of documents as text."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.transforms.errors import DatasetError


def texts_of(table: pa.Table, name: str, path: str) -> list[str]:
    """The values of a column; a null is an empty text.

    Raises:
        DatasetError: the column is no text.
    """
    try:
        return pc.fill_null(pc.cast(table.column(name), pa.string()), "").to_pylist()
    except pa.ArrowException as error:
        kind = table.schema.field(name).type
        raise DatasetError(
            f"{path}: the column {name} is {kind}, not text. Name another one in data.columns."
        ) from error
