"""Reads evaluation sets: Parquet, JSON lines or plain text, small enough to be held by every worker."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.transforms.errors import BadFileError

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
    table = _table(path)
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
        names = [str(i) for i in range(table.num_rows)]
    return Items(names, texts)


def _table(path: str) -> pa.Table:
    bare = path.lower()
    for ending in (".gz", ".bz2", ".zst"):
        bare = bare.removesuffix(ending)
    try:
        if bare.endswith((".parquet", ".pq")):
            import pyarrow.parquet as pq

            return pq.read_table(path)
        with pa.input_stream(path, compression="detect") as stream:
            if bare.endswith((".jsonl", ".ndjson", ".json")):
                import pyarrow.json as pj

                return pj.read_json(stream, pj.ReadOptions(block_size=64 << 20))
            if bare.endswith((".txt", ".text")):
                # line feeds only: an item may hold U+2028, a form feed and other ends that `splitlines` sees
                lines = re.split("\r\n|\r|\n", stream.read().decode("utf-8"))
                table = pa.table(
                    {"id": [str(i) for i in range(1, len(lines) + 1)], "text": pa.array(lines, pa.string())}
                )
                return table.filter(pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(table["text"])), 0))
    except (OSError, UnicodeDecodeError, pa.ArrowInvalid) as error:
        raise BadFileError(
            path, f"not a readable evaluation set ({error})", "give a Parquet, JSON lines or text file"
        ) from None
    raise BadFileError(path, "not known by its name", "give a .parquet, .jsonl or .txt file (the last one item a line)")
