"""Several short documents in one row, so that a batch holds text and not padding.

The documents of a row have segments of their own: none attends to another, positions begin anew, and each has its own targets.
The loss is the one that the documents have alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from corpusmill.training.data import pad
from corpusmill.training.objectives import IGNORE, Batch

if TYPE_CHECKING:
    from corpusmill.training.finetune.documents import Documents

MULTIPLE = 8
"""Rows are padded to a multiple of this: fewer shapes for compiled and fused kernels."""


def bins(sizes: Sequence[int], room: int) -> list[list[int]]:
    """Numbers of documents by row, no row of more than `room` tokens: each goes where it leaves the least room, longest first.

    (Best-fit decreasing, which needs at most 11/9 of the fewest rows plus one; Johnson 1973.) A document of more than `room`
    tokens has a row for itself.

    >>> bins([3, 5, 2, 6], 8)
    [[3, 2], [1, 0]]
    """
    rows: list[list[int]] = []
    by_room: list[list[int]] = [[] for _ in range(room + 1)]
    some = 0  # bit r: there is a row with room for exactly r tokens
    for i in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        size = sizes[i]
        fitting = some >> size
        if size > room or not fitting:
            rows.append([i])
            left, row = room - size, len(rows) - 1
        else:
            at = size + (fitting & -fitting).bit_length() - 1
            row = by_room[at].pop()
            some ^= (1 << at) if not by_room[at] else 0
            rows[row].append(i)
            left = at - size
        if left > 0:
            by_room[left].append(row)
            some |= 1 << left
    return rows


class Packed:
    """The rows of `documents`, several in each (see `corpusmill.training.data.Rows`), never of two domains.

    room: tokens of a row. classes: labels are int64 [n, S] for the S documents of a row, -100 where it has fewer.
    """

    def __init__(self, documents: Documents, room: int) -> None:
        self.documents, self.path, self.classes = documents, documents.path, documents.classes
        sizes = np.max([[len(row) for row in column] for column in documents.columns.values()], axis=0)
        self.members: list[list[int]] = []
        for domain in np.unique(documents.source_of):
            mine = np.flatnonzero(documents.source_of == domain)
            self.members += [[int(mine[i]) for i in row] for row in bins(sizes[mine].tolist(), room)]
        self.sources = documents.sources
        self.source_of: np.ndarray = documents.source_of[[row[0] for row in self.members]]
        self.digest = hashlib.sha256(f"{documents.digest} packed {self.members}".encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.members)

    def rows(self, index: np.ndarray) -> Batch:
        """The columns of rows `index`, int64 [n, T], padded to the longest; `label` int64 [n, S]."""
        members = [self.members[i] for i in index]
        columns, out = self.documents.columns, {}
        for name, column in columns.items():
            out[name] = pad([np.concatenate([column[i] for i in row]) for row in members], multiple=MULTIPLE)
        for name in ("input_ids", "target_ids") if "target_ids" in columns else ("input_ids",):
            prefix = "target_" if name == "target_ids" else ""
            sizes = [np.array([len(columns[name][i]) for i in row]) for row in members]
            numbered = [np.repeat(np.arange(1, len(size) + 1), size) for size in sizes]
            counted = [np.concatenate([np.arange(n) for n in size]) for size in sizes]
            out[f"{prefix}segment_ids"] = pad(numbered, multiple=MULTIPLE)
            out[f"{prefix}position_ids"] = pad(counted, multiple=MULTIPLE)
        if self.documents.labels is not None:
            out["label"] = pad([self.documents.labels[row] for row in members], IGNORE)
            if (weights := self.documents.class_weights) is not None:
                out["weight"] = np.where(out["label"] == IGNORE, 0, weights[np.maximum(out["label"], 0)])
        return out
