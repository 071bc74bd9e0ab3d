"""From rows of equal band key to pairs worth comparing: linear in the size of a band.

Equal documents (equal content) are tied to the first of them once, in their first band, and only that one is compared. A
band of up to `ALL` different documents gives all their pairs; in a larger one each is paired with the next `NEXT` in the
order of their content, whose upper bits are their next band, and with the first. Documents that are truly similar share
several bands and meet in the smaller ones too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit

from transforms.dedup.grouping import column, places, repeated
from transforms.dedup.union_find import components
from transforms.hashing import U

ALL, NEXT = 8, 3

PAIRS = pa.schema(
    [
        ("shard", pa.uint32()),
        ("row", pa.uint32()),
        ("other_shard", pa.uint32()),
        ("other_row", pa.uint32()),
        ("same", pa.bool_()),
    ]
)
CANDIDATES = pa.schema(
    [
        ("shard", pa.uint32()),
        ("row", pa.uint32()),
        ("number", pa.uint64()),
        ("component", pa.uint64()),
        ("equal_to", pa.uint64()),
        ("compared", pa.bool_()),
        ("partners", pa.list_(pa.uint64())),
    ]
)


@njit(nogil=True, cache=True)
def _band_pairs(rows: Any, runs: Any, content: Any, place: Any) -> Any:
    """uint64 [m, 3]: (place, place, 1 if their content is equal)."""
    room = np.int64(0)
    for g in range(len(runs) - 1):
        size = runs[g + 1] - runs[g]
        room += max(size * (size - 1) // 2, size) if size <= ALL else size * (NEXT + 1)
    out = np.empty((room, 3), np.uint64)
    first = np.empty(len(rows), np.int64)  # of each run of equal content
    m = 0
    for g in range(len(runs) - 1):
        k = 0
        for i in range(runs[g], runs[g + 1]):
            row = rows[i]
            if k and content[row] == content[first[k - 1]]:
                # a document can have the same band twice only by a collision
                if content[row] & U(1) and place[row] != place[first[k - 1]]:
                    out[m, 0], out[m, 1], out[m, 2] = place[first[k - 1]], place[row], U(1)
                    m += 1
            else:
                first[k] = row
                k += 1
        reach = k if k <= ALL else NEXT
        for i in range(k):
            for j in range(i + 1, min(k, i + 1 + reach)):
                out[m, 0], out[m, 1], out[m, 2] = place[first[i]], place[first[j]], U(0)
                m += 1
            if k > ALL and i > NEXT:
                out[m, 0], out[m, 1], out[m, 2] = place[first[0]], place[first[i]], U(0)
                m += 1
    return out[:m]


def band_pairs(keys: pa.Table) -> pa.Table:
    """Candidate pairs (`PAIRS`) from rows with `key`, `content` (of `band_keys`), `shard` and `row`."""
    key, content, place = column(keys, "key"), column(keys, "content"), places(keys)
    rows, runs = repeated(key, content, place)
    pairs = _band_pairs(rows, runs, content, place)
    low = U(0xFFFFFFFF)
    columns = [pairs[:, 0] >> U(32), pairs[:, 0] & low, pairs[:, 1] >> U(32), pairs[:, 1] & low]
    return pa.table([pa.array(c.astype(np.uint32)) for c in columns] + [pa.array(pairs[:, 2] == 1)], schema=PAIRS)


_AT_ONCE = 1 << 18


class _Distinct:
    """The distinct values of many arrays, sorted; holds about twice as many values as are distinct."""

    def __init__(self) -> None:
        self._seen = np.empty(0, np.uint64)
        self._held: list[np.ndarray] = []
        self._size = 0

    def add(self, values: np.ndarray) -> None:
        self._held.append(np.unique(values))
        self._size += len(self._held[-1])
        if self._size > max(len(self._seen) // 2, _AT_ONCE):
            self.all()

    def all(self) -> np.ndarray:
        values = np.concatenate([self._seen, *self._held])
        self._held, self._size = [], 0
        values.sort()
        fresh = np.ones(len(values), np.bool_)
        np.not_equal(values[1:], values[:-1], out=fresh[1:])
        self._seen = values[fresh]
        return self._seen


def candidates(pairs: pa.Table) -> pa.Table:
    """One row (`CANDIDATES`) a document of any pair: its component of the graph of all pairs, which document it is equal
    to (itself if it is compared with others on its own account), and its partners of a greater number.

    A document's number is its place, (shard << 32) + row; a component's the smallest of its documents'. A pair comes once
    for each band that it shares: the rows are taken in a part at a time, so that memory goes with the pairs that differ.
    """

    def ends(part: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        return places(part), (column(part, "other_shard").astype(np.uint64) << U(32)) | column(part, "other_row")

    parts = [pa.Table.from_batches([b]) for b in pairs.to_batches(max_chunksize=_AT_ONCE)]
    found = _Distinct()
    for part in parts:
        for values in ends(part):
            found.add(values)
    numbers = found.all()
    n = len(numbers)
    found = _Distinct()  # (smaller, greater, same) in one number: below 2^64 up to three billion documents
    for part in parts:
        a, b = (np.searchsorted(numbers, e).astype(np.uint64) for e in ends(part))
        pair = np.minimum(a, b) * U(max(n, 1)) + np.maximum(a, b)
        found.add((pair << U(1)) | column(part, "same").astype(np.uint64))
    codes = found.all()
    same = (codes & U(1)) == 1
    left = ((codes >> U(1)) // U(max(n, 1))).astype(np.int64)
    right = ((codes >> U(1)) % U(max(n, 1))).astype(np.int64)
    component = components(n, left, right)
    equal_to = components(n, left[same], right[same])
    # unique pairs of different documents, sorted by the left one
    edges = np.unique(equal_to[left[~same]].astype(np.uint64) * U(max(n, 1)) + equal_to[right[~same]].astype(np.uint64))
    x, y = (edges // U(max(n, 1))).astype(np.int64), (edges % U(max(n, 1))).astype(np.int64)
    different = x != y
    x, y = x[different], y[different]
    compared = np.zeros(n, np.bool_)
    compared[x] = compared[y] = True
    offsets = np.searchsorted(x, np.arange(n + 1)).astype(np.int32)
    return pa.table(
        [
            pa.array((numbers >> U(32)).astype(np.uint32)),
            pa.array((numbers & U(0xFFFFFFFF)).astype(np.uint32)),
            pa.array(numbers),
            pa.array(numbers[component]),
            pa.array(numbers[equal_to]),
            pa.array(compared),
            pa.ListArray.from_arrays(pa.array(offsets), pa.array(numbers[y])),
        ],
        schema=CANDIDATES,
    )
