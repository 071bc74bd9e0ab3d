"""Reads what scorers are trained and measured on: labelled documents, and pairs of which one is preferred."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.dataset.packed import is_packed
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.privacy.certification import learned_from, private_sources
from corpusmill.transforms import storage
from corpusmill.transforms.decontaminate.evaluation import COLUMNS
from corpusmill.transforms.errors import BadFileError, DatasetError
from corpusmill.transforms.select._train import LIKE, UNLIKE
from corpusmill.transforms.shards import read_shard
from corpusmill.transforms.sources.items import read_items

FACETS = ("lang", "source")
"""Columns by whose values a scorer is measured, where the documents have them."""


@dataclass
class Labelled:
    """Documents with their labels. facets: values of `FACETS` of each document, null where its file lacks the column; private:
    private sources that the files hold or were made from."""

    texts: pa.Array
    labels: list[str]
    facets: dict[str, pa.Array]
    files: tuple[str, ...]
    private: list[str] = field(default_factory=list)
    judged_twice: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    """The scores of documents that a judge was asked about twice, float64 [n, 2]."""


@dataclass
class Pairs:
    """Texts in pairs, of which the first is preferred."""

    chosen: pa.Array
    rejected: pa.Array
    files: tuple[str, ...]
    private: list[str] = field(default_factory=list)


def labelled(
    like: Sequence[str],
    unlike: Sequence[str],
    labels: Sequence[str],
    text: str = "",
    label: str = "label",
    at_least: float | None = None,
) -> Labelled:
    """The labelled documents of files, or of the newest snapshots of datasets.

    Args:
        like: files whose documents are labelled `like`.
        unlike: files whose documents are labelled `unlike`.
        labels: files with a column of labels.
        text: column of the text; empty for a known name.
        label: column of the label in `labels`.
        at_least: the labels are numbers, such as a judge's scores; those from here on are `like`, the others `unlike`.

    Raises:
        BadFileError: a file cannot be read, lacks a column, or has a document without a label.
    """
    tables, names = [], []
    for files, name in ((like, LIKE), (unlike, UNLIKE)):
        for path in files:
            tables.append(_texts(path, _table(path), text))
            names += [name] * tables[-1].num_rows
    for path in labels:
        table = _table(path)
        if label not in table.column_names:
            what = f"has no column {label} among {', '.join(table.column_names)}"
            raise BadFileError(path, what, "name the column of the label with --label-column")
        tables.append(_texts(path, table, text))
        names += _names(path, table[label], label, at_least)
    empty = pa.table({n: pa.array([], pa.string()) for n in ("text", *FACETS)})
    whole = pa.concat_tables([empty, *tables]).combine_chunks()
    columns = {n: pa.concat_arrays(whole[n].chunks) for n in whole.column_names}
    files = (*like, *unlike, *labels)
    return Labelled(columns.pop("text"), names, columns, files, _private(files), _judged_twice(labels))


def pairs(files: Sequence[str], chosen: str = "chosen", rejected: str = "rejected") -> Pairs:
    """The preference pairs of files with two columns of text.

    Raises:
        BadFileError: a file cannot be read, lacks a column, or has a pair with one text.
    """
    sides: dict[str, list[pa.Array]] = {chosen: [], rejected: []}
    for path in files:
        table = _table(path)
        for name, parts in sides.items():
            column = _strings(path, table, name, f"call the texts of each pair `{chosen}` and `{rejected}`")
            if column.null_count:
                raise BadFileError(path, f"{column.null_count} pairs lack `{name}`", "complete them, or take them out")
            parts.append(column)
    first, second = (pa.concat_arrays(parts) for parts in sides.values())
    return Pairs(first, second, tuple(files), _private(files))


def _table(path: str) -> pa.Table:
    """The rows of a file, or of a dataset's newest snapshot."""
    if not storage.is_dir(path):
        return read_items(path).table
    dataset = Dataset(path)
    if is_packed(dataset.manifest()["schema"]):
        raise DatasetError(f"{path} holds packed tokens; name a dataset with text")
    batches = [b for file in dataset.files() for b in read_shard(file)]
    return pa.Table.from_batches(batches) if batches else pa.table({"text": pa.array([], pa.string())})


def _texts(path: str, table: pa.Table, text: str) -> pa.Table:
    """The columns text and `FACETS` as strings."""
    wanted = text or next((c for c in COLUMNS if c in table.column_names), COLUMNS[0])
    columns = {"text": _strings(path, table, wanted)}
    for name in FACETS:
        here = name in table.column_names and pa.types.is_string(table[name].type)
        columns[name] = (
            pa.concat_arrays(table[name].chunks) if here and table.num_rows else pa.nulls(table.num_rows, pa.string())
        )
    return pa.table(columns)


def _strings(
    path: str, table: pa.Table, name: str, advice: str = "name the column of the text with --text-column"
) -> pa.Array:
    if name not in table.column_names:
        what = f"has no column {name} among {', '.join(table.column_names) or 'none'}"
        raise BadFileError(path, what, advice)
    column = table[name]
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise BadFileError(path, f"column {name} is {column.type}, not text", "name a column of text")
    column = column.cast(pa.string())
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.string())


def _names(path: str, column: pa.ChunkedArray, label: str, at_least: float | None) -> list[str]:
    """The labels of a column, as names."""
    if column.null_count:
        what = f"{column.null_count} documents without a `{label}`"
        raise BadFileError(path, what, "label them, or take them out")
    if at_least is None:
        return [str(v) for v in column.to_pylist()]
    try:
        values = column.cast(pa.float64())
    except pa.ArrowException:
        raise BadFileError(path, f"column {label} is {column.type}, not numbers", "leave --at-least out") from None
    if pc.any(pc.is_nan(values)).as_py():
        raise BadFileError(path, f"column {label} holds values that are no numbers", "take those documents out")
    return [LIKE if v >= at_least else UNLIKE for v in values.to_pylist()]


def _judged_twice(paths: Sequence[str]) -> np.ndarray:
    """Both scores of what the step `annotate` had judged twice, of datasets among `paths`."""
    parts = [np.zeros((0, 2))]
    for path in paths:
        if storage.is_dir(path):
            dataset = Dataset(path)
            for file in dataset.manifest()["tables"].get("judged_twice", []):
                for batch in read_shard(storage.join(dataset.path, file["path"])):
                    parts.append(np.stack([batch.column(n).to_numpy() for n in ("score", "again")], axis=1))
    return np.concatenate(parts)


def _private(files: Sequence[str]) -> list[str]:
    found: dict[str, None] = {}
    for path in files:
        found |= dict.fromkeys(
            private_sources(Dataset(path).manifest()) if storage.is_dir(path) else learned_from(path)
        )
    return list(found)
