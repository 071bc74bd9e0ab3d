"""Which rows of data with a column `split` are trained on, and which are measured.

Training takes the rows of the split `train`. Evaluation takes those of `validation` unless another split is asked for. Data whose
column holds other values, or that has no such column, is taken whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.training.objectives import Batch
from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.mix.split import TEST, TRAIN, VALIDATION

if TYPE_CHECKING:
    from corpusmill.training.data import Rows

SPLITS = (TRAIN, VALIDATION, TEST)


def split_rows(
    column: pa.Array | pa.ChunkedArray | None, parts: Sequence[str], path: object, must: bool
) -> tuple[str, np.ndarray] | None:
    """(split, numbers int64 of its rows): of the first of `parts` that has rows. None if the rows are not divided.

    Args:
        column: the column `split`; None where there is none.
        parts: splits in the order in which they are wanted.
        path: where the rows are, for messages.
        must: rows of these splits are needed, if the rows are divided; otherwise None is returned.

    Raises:
        DatasetError: no row is of these splits.
    """
    if column is None or not parts:
        return None
    column = column.cast(pa.string())
    known = pc.unique(column).to_pylist()
    if not set(known) <= set(SPLITS):
        return None
    for part in parts:
        if part in known:
            return part, np.flatnonzero(pc.equal(column, part).to_numpy(zero_copy_only=False))
    if must:
        raise DatasetError(
            f"{path}: no row is of the split {' or '.join(parts)}; there are {', '.join(known)}. Name other data, or give the step "
            "`split` a larger share for it."
        )
    return None


def note_of(column: pa.Array | pa.ChunkedArray, part: str, path: object) -> str:
    """How the rows are divided, in a sentence."""
    counted = {c["values"]: c["counts"] for c in pc.value_counts(column.cast(pa.string())).to_pylist()}
    others = ", ".join(f"{counted[s]:,} of {s}" for s in SPLITS if s in counted and s != part)
    return f"{path}: the {counted[part]:,} rows of the split {part} are taken" + (f", not {others}." if others else ".")


class Selected:
    """Some rows of `whole` (see `corpusmill.training.data.Rows`). index: int64, their numbers; part: their split; note: a sentence
    about it."""

    def __init__(self, rows: Rows, index: np.ndarray, part: str, note: str) -> None:
        self.whole, self.index, self.part = rows, index, part
        self.sources = rows.sources
        self.source_of: np.ndarray = rows.source_of[index]
        self.length: int = getattr(rows, "length", 0)
        self.path = getattr(rows, "path", "the rows")
        self.digest = rows.digest  # of the dataset, by which its models are found
        self.notes: list[str] = [*getattr(rows, "notes", ()), note]

    def __len__(self) -> int:
        return len(self.index)

    def rows(self, index: np.ndarray) -> Batch:
        """The columns of rows `index`."""
        return self.whole.rows(self.index[index])
