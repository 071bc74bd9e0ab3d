"""Small files that are held whole: evaluation sets, seed tasks, fine-tuning documents, scores. Read as sources are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from corpusmill.transforms import storage
from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.sources import formats
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.compressed import first_bytes
from corpusmill.transforms.sources.files import Part
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.opened import faults_of
from corpusmill.transforms.sources.rows import check_structure
from corpusmill.transforms.sources.schema import conform, plain_type, unify
from corpusmill.transforms.sources.spec import SourceSpec

_ROWS = 1 << 16
_NO_COLUMN = "corpusmill: no column"


@dataclass(frozen=True)
class Items:
    """table: plain columns (no dictionaries or views); positions: the 1-based line or row of each in the file."""

    table: pa.Table
    positions: list[int]


def read_items(path: str, columns: Sequence[str] | None = None) -> Items:
    """All rows of one file of any known format; of a text file, its lines that are not blank, as column `text`.

    Args:
        columns: columns that must be there; the table holds no others. All of them if left out.

    Raises:
        BadFileError: the file is absent, damaged or of no known format, a row cannot be read, or a column is absent.
        UnreadableFileError: the file cannot be read now.
    """
    try:
        items = _read(path)
    except BadFileError as error:
        todo = error.todo.split(", or set `on_bad_file")[0] or "mend the file"
        raise BadFileError(path, error.what, todo) from error
    table = items.table
    missing = [c for c in columns or () if c not in table.column_names]
    if missing:
        what = f"has no column {', '.join(missing)} among {', '.join(table.column_names) or 'none'}"
        raise BadFileError(path, what, "name the columns that are there")
    return Items(table.select(list(columns)) if columns else table, items.positions)


def _read(path: str) -> Items:
    if not storage.has_file(path):
        raise BadFileError(path, "there is no such file", "correct the path that names it")
    name = formats.by_extension(path) or formats.by_content(first_bytes(path))
    if name is None:
        known = " ".join(e for k in formats.known().values() for e in k.extensions[:2])
        raise BadFileError(path, "is of no known format", f"give the file one of these endings: {known}")
    size = storage.stat(path).size
    part = Part(path, path, size, "", 0, size, True)
    bad, form = BadRows("items"), formats.load(name)
    batches: list[pa.RecordBatch] = []
    positions: list[int] = []
    schema = form.schema(part, SourceSpec.model_validate({"name": "items", "path": path}))
    # no column is the text of a document, and any type will do for it
    text = schema.names[0] if schema is not None and schema.names else _NO_COLUMN
    fields = {"name": "items", "path": path, "split": "lines", "columns": {"text": text}}
    spec = SourceSpec.model_validate(fields)
    for batch, place in form.read(part, spec, Budget(path, size, spec.max_expansion), bad, _ROWS):
        check_structure(batch, path)
        plain = pa.schema([(f.name, plain_type(f.type)) for f in batch.schema if f.name != _NO_COLUMN])
        batches.append(conform(batch, plain))
        positions += place(np.arange(batch.num_rows))
    if bad.count:
        row = bad.to_table().slice(0, 1).to_pylist()[0]
        what = f"line {row['position']} cannot be read: {row['reason']} {row['detail']}".rstrip()
        raise BadFileError(path, what, "mend or remove the line")
    common = unify(b.schema for b in batches) if batches or schema is None else unify([schema])
    table = pa.Table.from_batches([conform(b, common) for b in batches], common)
    if name == "text":
        with faults_of(path, "is not UTF-8"):
            table, positions = _lines(table.column("text").cast(pa.string()).to_pylist(), positions)
    return Items(table, positions)


def _lines(texts: list[str], positions: list[int]) -> tuple[pa.Table, list[int]]:
    """Lines that end with a carriage return alone, too, are lines of their own."""
    lines: list[tuple[int, str]] = []
    more = 0
    for text, position in zip(texts, positions, strict=True):
        pieces = text.split("\r")
        lines += [(position + more + k, piece) for k, piece in enumerate(pieces) if piece.strip()]
        more += len(pieces) - 1
    return pa.table({"text": pa.array([line for _, line in lines], pa.string())}), [at for at, _ in lines]
