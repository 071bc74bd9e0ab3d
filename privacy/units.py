"""Units of privacy: whose data a row is, and how much of it a unit may give.

The unit is a document or the value of a user column. A row that was derived from another inherits its unit: from a column
`unit` where there is one (the step `unit` writes it), else from the user column, else from `parent`. What one unit gives is
bounded before anything is learned (the step `bound-units`): at most k rows and t tokens, chosen by a keyed draw and not by
position.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.transforms.errors import PrivacyError
from corpusmill.transforms.hashing import hash128
from corpusmill.transforms.units.bounds import UNIT, bounded

DOCUMENT = "document"
"""The unit that is the document itself."""
__all__ = ["DOCUMENT", "UNIT", "Owners", "Units", "bounded", "names_of", "unit_of"]
Owners = Literal["refuse", "drop"]


def unit_of(rows: pa.RecordBatch | pa.Table, unit: str = DOCUMENT, owners: Owners = "refuse") -> pa.Array:
    """The unit of each row: a string array, null only where `owners` is `drop` and a row has several.

    unit: `document`, or the name of a user column (a string; or a list of strings, of which each row has one).
    Raises PrivacyError for rows without a unit, with several owners, or derived from rows that name another ancestor.
    """
    names = rows.schema.names
    if UNIT in names and unit in (DOCUMENT, UNIT):
        return _whole(_flat(rows.column(UNIT)), UNIT, rows)
    if unit != DOCUMENT:
        if unit not in names:
            raise PrivacyError(
                f"the unit of privacy is the column `{unit}`, which rows do not have; they have {', '.join(names)}. Name one "
                "in `unit`, and keep it through all steps."
            )
        column = _flat(rows.column(unit))
        if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
            column = _one_owner(column, unit, owners)
            return column if owners == "drop" else _whole(column, unit, rows)
        return _whole(column.cast(pa.string()), unit, rows)
    if "documents" in names:
        raise PrivacyError(
            "rows hold pieces of several documents, so one document moves several rows. Train on documents, or pack with "
            "`separate: <user column>` and name that column as the unit."
        )
    ids = _flat(rows.column("id")).cast(pa.string())
    if "parent" not in names:
        return _whole(ids, "id", rows)
    parents = _flat(rows.column("parent")).cast(pa.string())
    derived = pc.is_valid(parents)
    grand = pc.and_(derived, pc.is_in(parents, ids.filter(derived)))
    if pc.any(grand).as_py():
        at = pc.index(grand, True).as_py()
        raise PrivacyError(
            f"document {ids[at].as_py()} is derived from {parents[at].as_py()}, which is derived itself: its unit cannot be "
            "told from `parent` alone. Put the step `unit` before the first step that derives documents."
        )
    return _whole(pc.coalesce(parents, ids), "id", rows)


def _flat(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _whole(column: pa.Array, name: str, rows: pa.RecordBatch | pa.Table) -> pa.Array:
    if column.null_count:
        at = pc.index(pc.is_null(column), True).as_py()
        who = rows.column("id")[at].as_py() if "id" in rows.schema.names else f"row {at}"
        raise PrivacyError(
            f"document {who}: has no `{name}`, so no unit of privacy can answer for it ({column.null_count:,} such rows). "
            "Drop these rows, or name another unit."
        )
    return column


def _one_owner(column: pa.Array, name: str, owners: Owners) -> pa.Array:
    counts = pc.fill_null(pc.list_value_length(column), 0)
    several = pc.greater(counts, 1)
    if pc.any(several).as_py() and owners == "refuse":
        raise PrivacyError(
            f"{pc.sum(several).as_py():,} rows have several owners in `{name}`: taking one of them out would change the "
            "others' rows. Drop these rows (`owners: drop`), or split them into one row an owner before."
        )
    first = pc.list_element(pc.if_else(pc.greater(counts, 0), column, pa.scalar([None], column.type)), 0)
    return pc.if_else(several, pa.scalar(None, first.type), first).cast(pa.string())


class Units:
    """The rows of each unit of a data set, and the numbers that stand for units in training.

    Units are numbered in the order of a hash of their names, so the order of rows and files does not matter.

    >>> units = Units.of(pa.array(["ann", "bob", "ann"]))
    >>> units.count, sorted(units.rows(units.number[[0]]).tolist())
    (2, [0, 2])
    """

    def __init__(self, number: np.ndarray) -> None:
        """number: int64 [n], 0 ... U - 1, one a row."""
        self.number = np.asarray(number, np.int64)
        self.count = int(self.number.max(initial=-1)) + 1
        self._order = np.argsort(self.number, kind="stable")
        self._first = np.searchsorted(self.number[self._order], np.arange(self.count + 1))

    @classmethod
    def of(cls, names: pa.Array) -> Units:
        """Of the unit's name of each row."""
        hashes = hash128(names).view([("a", "<u8"), ("b", "<u8")]).reshape(-1)
        _, number = np.unique(hashes, return_inverse=True)
        return cls(number)

    @property
    def sizes(self) -> np.ndarray:
        """Rows of each unit: int64 [U]."""
        return np.diff(self._first)

    def rows(self, units: np.ndarray) -> np.ndarray:
        """The rows of these units, unit by unit."""
        if not len(units):
            return np.zeros(0, np.int64)
        return np.concatenate([self._order[self._first[u] : self._first[u + 1]] for u in units])

    def batches(self, units: np.ndarray, max_rows: int) -> list[np.ndarray]:
        """The rows of these units in batches of whole units: at most `max_rows` rows, or one unit that is larger."""
        out: list[np.ndarray] = []
        held: list[int] = []
        size = 0
        for u, n in zip(units.tolist(), self.sizes[units].tolist()):
            if held and size + n > max_rows:
                out.append(self.rows(np.array(held)))
                held, size = [], 0
            held.append(u)
            size += n
        return [*out, self.rows(np.array(held))] if held else out

    def require(self, max_rows: int) -> None:
        """Raises PrivacyError where a unit has more rows than `max_rows`."""
        over = np.flatnonzero(self.sizes > max_rows)
        if len(over):
            raise PrivacyError(
                f"{len(over):,} units have more than {max_rows} rows (one has {int(self.sizes.max()):,}). Bound what a unit "
                f"gives before training: the step `bound-units: {{max_rows: {max_rows}}}`."
            )


def names_of(tables: Sequence[pa.Table], unit: str, owners: Owners = "refuse") -> pa.Array:
    """`unit_of` over several tables, one behind the other."""
    return pa.concat_arrays([unit_of(table, unit, owners) for table in tables])
