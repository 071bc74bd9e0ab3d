"""Reads evaluation sets: files of any source format (of text, one item a line), small enough to be held by every worker."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.sources import items as sources
from corpusmill.transforms.sources.formats import by_extension

COLUMNS = ("text", "question", "problem", "prompt", "query", "instruction", "input", "sentence", "content")
"""Where the text of an item stands, the first that is there, unless columns are named."""


@dataclass(frozen=True)
class Items:
    """The items of one evaluation set: names (its column `id`, else the row number) and texts, a list of columns each."""

    names: list[str]
    texts: list[pa.Array]


def read_items(path: str, columns: tuple[str, ...]) -> Items:
    """The items of one file.

    Raises BadFileError for a file that cannot be read, or without a column that is asked for.
    """
    items = sources.read_items(path)
    table = items.table
    wanted = columns or next(((c,) for c in COLUMNS if c in table.column_names), ())
    missing = [c for c in wanted if c not in table.column_names]
    if missing or not wanted:
        what = f"no column {', '.join(missing or COLUMNS)} among {', '.join(table.column_names) or 'none'}"
        raise BadFileError(path, what, "name the columns that hold the items' text under `columns`")
    texts = []
    for name in wanted:
        column = table.column(name).combine_chunks()
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            raise BadFileError(
                path, f"column {name} is {column.type}, not text", "name the columns that hold text under `columns`"
            )
        texts.append(column.cast(pa.string()))
    if "id" in table.column_names:
        names = [str(v) for v in table.column("id").to_pylist()]
    else:
        names = [str(i) for i in (items.positions if by_extension(path) == "text" else range(table.num_rows))]
    return Items(names, texts)
