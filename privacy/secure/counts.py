"""Joint counts over all owners' documents, and the mixture weights that follow from them.

Each owner counts its own documents in a table whose axes all agreed on (language, domain, length, quality, ...); the tables
are added by masks (`aggregation.py`) or under encryption (`homomorphic.py`), whose docstrings say who learns what and what
collusion breaks. The sum itself is exact and not private: a cell of 1 says that one document is there, and an owner can
take its own part away. Weights are shares to the power 1/T, normalised (`transforms/mix/epochs.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.privacy.secure import aggregation, homomorphic
from corpusmill.privacy.secure.node import Node
from corpusmill.privacy.secure.rows import rows_of
from corpusmill.privacy.secure.settings import Count, Dimension
from corpusmill.transforms.errors import SourceError
from corpusmill.transforms.mix.epochs import tempered

OTHER = "(other)"


def joint(node: Node, settings: Count, files: list[str]) -> tuple[np.ndarray, dict[str, Any]]:
    """This party's part: (the sum of all tables, int64 [cells]; who is in it and, under encryption, what the noise is)."""
    hub = node.role(node.name) == "aggregator"
    if settings.method == "encrypted":
        if hub:
            total, owners = homomorphic.collect(node, settings.cells)
            return total, {"owners": owners}
        total, owners, noise = homomorphic.add_up(node, histogram(files, settings))
        return total, {"owners": owners, **({"encryption": noise} if noise else {})}
    if hub:
        total, owners = aggregation.collect(node, settings.cells)
    else:
        total, owners = aggregation.add_up(node, histogram(files, settings))
    return total.astype(np.int64), {"owners": owners}


def histogram(files: list[str], settings: Count) -> np.ndarray:
    """One owner's table, its last axis running fastest: int64 [cells]."""
    out = np.zeros(settings.cells, np.int64)
    columns = sorted({d.column for d in settings.by} - {"length"})
    text = settings.unit == "bytes" or any(d.column == "length" for d in settings.by)
    for file, batch in rows_of(files, [*columns, *(["text"] if text else [])]):
        cell = np.zeros(batch.num_rows, np.int64)
        for d in settings.by:
            cell = cell * d.size + _axis(batch, d, file)
        if settings.unit == "bytes":
            sizes = pc.fill_null(pc.binary_length(batch.column("text")), 0).to_numpy(zero_copy_only=False)
            np.add.at(out, cell, sizes.astype(np.int64))
        else:
            out += np.bincount(cell, minlength=len(out))
    return out


def _axis(batch: pa.RecordBatch, d: Dimension, file: str) -> np.ndarray:
    if d.column == "length":
        values = pc.fill_null(pc.binary_length(batch.column("text")), 0)
    else:
        values = batch.column(d.column)
    if isinstance(values, pa.DictionaryArray):
        values = values.dictionary_decode()
    if d.values:
        places = pc.index_in(values.cast(pa.string()), pa.array(d.values, pa.string()))
        return pc.fill_null(places, len(d.values)).to_numpy(zero_copy_only=False).astype(np.int64)
    try:
        numbers = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowException as error:
        raise SourceError(
            f"{file}: `{d.column}` holds no numbers ({error}); give `values` instead of `bounds`."
        ) from error
    if np.isnan(numbers).any():  # what is null is so, too
        raise SourceError(
            f"{file}: `{d.column}` has rows without a number; fill it, or count `values` of another column."
        )
    return np.searchsorted(np.array(d.bounds), numbers, side="right")


def labels(d: Dimension) -> list[str]:
    """Names of the cells along an axis.

    >>> labels(Dimension(column="length", bounds=(100, 1000)))
    ['< 100', '100 .. 1000', '>= 1000']
    """
    if d.values:
        return [*d.values, OTHER]
    b = [f"{x:g}" for x in d.bounds]
    return [f"< {b[0]}", *(f"{low} .. {high}" for low, high in zip(b, b[1:])), f">= {b[-1]}"]


def table(settings: Count, total: np.ndarray) -> pa.Table:
    """The cells that are not empty: one column an axis, and `count`."""
    full = np.flatnonzero(total)
    places = np.unravel_index(full, [d.size for d in settings.by])
    columns = {d.column: pa.array(labels(d)).take(pa.array(at)) for d, at in zip(settings.by, places, strict=True)}
    return pa.table({**columns, "count": pa.array(total[full])})


def weights(settings: Count, total: np.ndarray) -> list[dict[str, Any]]:
    """Of each cell that is not empty: its count, its share, and its weight at the job's temperature."""
    cells = table(settings, total).to_pylist()
    sizes = np.array([c["count"] for c in cells], np.float64)
    shares, asked = sizes / max(sizes.sum(), 1), tempered(sizes, settings.temperature)
    return [{**c, "share": float(s), "weight": float(w)} for c, s, w in zip(cells, shares, asked, strict=True)]
