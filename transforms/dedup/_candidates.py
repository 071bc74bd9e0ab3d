"""Turns rows of equal band key into pairs worth comparing, in time linear in the size of a band.

Equal documents (equal content) are linked once, in their first band, to the first of them, and only that one is compared. A
band of up to `ALL` different documents gives all pairs. In a larger band each document is paired with the next `NEXT` in the
order of their content, whose upper bits are their next band, and with the first. Documents that are truly similar share
several bands and meet in the smaller ones too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from corpusmill.transforms.dedup._grouping import column, places, repeated
from corpusmill.transforms.dedup._union_find import join, roots
from corpusmill.transforms.hashing import U
from corpusmill.transforms.kernels.njit import njit

ALL, NEXT = 8, 3

DIFFERENT, EQUAL, COMPARED, ALONE, SHOWN_BY = range(5)
"""What a row of `LINKS` says of a document and another: worth comparing; equal; of its component, the other is the first
(COMPARED: it has pairs of its own; ALONE: it has none); equal to the other, which stands for it in all pairs."""

LINKS = pa.schema(
    [
        ("shard", pa.uint32()),
        ("row", pa.uint32()),
        ("other_shard", pa.uint32()),
        ("other_row", pa.uint32()),
        ("what", pa.uint8()),
    ]
)


NAMED_LINKS = pa.schema([("row", pa.uint32()), ("what", pa.uint8()), ("own", pa.uint64()), ("other", pa.uint64())])
"""`LINKS` as a shard reads them, with names for documents (`corpusmill.transforms.exchange.named`)."""


@njit(inline="always")
def _link(out: Any, what: Any, m: int, a: Any, b: Any, kind: int) -> None:
    a, b = min(a, b), max(a, b)
    out[m, 0], out[m, 1], out[m, 2], out[m, 3] = a >> U(32), a & U(0xFFFFFFFF), b >> U(32), b & U(0xFFFFFFFF)
    what[m] = kind


@njit(nogil=True, cache=True)
def _band_pairs(rows: Any, runs: Any, content: Any, place: Any) -> Any:
    """(uint32 [m, 4]: shard and row of a document, shard and row of a later one; uint8 [m]: DIFFERENT or EQUAL)."""
    room = np.int64(0)
    for g in range(len(runs) - 1):
        size = runs[g + 1] - runs[g]
        room += max(size * (size - 1) // 2, size) if size <= ALL else size * (NEXT + 1)
    out, what = np.empty((room, 4), np.uint32), np.empty(room, np.uint8)
    first = np.empty(len(rows), np.int64)  # of each run of equal content
    m = 0
    for g in range(len(runs) - 1):
        k = 0
        for i in range(runs[g], runs[g + 1]):
            row = rows[i]
            if k and content[row] == content[first[k - 1]]:
                # a document can have the same band twice only by a collision
                if content[row] & U(1) and place[row] != place[first[k - 1]]:
                    _link(out, what, m, place[first[k - 1]], place[row], EQUAL)
                    m += 1
            else:
                first[k] = row
                k += 1
        reach = k if k <= ALL else NEXT
        for i in range(k):
            for j in range(i + 1, min(k, i + 1 + reach)):
                _link(out, what, m, place[first[i]], place[first[j]], DIFFERENT)
                m += 1
            if k > ALL and i > NEXT:
                _link(out, what, m, place[first[0]], place[first[i]], DIFFERENT)
                m += 1
    return out[:m], what[:m]


def band_pairs(keys: pa.Table) -> pa.Table:
    """Candidate pairs (`LINKS`) from rows with `key`, `content` (of `band_keys`), `shard` and `row`."""
    key, content, place = column(keys, "key"), column(keys, "content"), places(keys)
    rows, runs = repeated(key, content, place)
    pairs, what = _band_pairs(rows, runs, content, place)
    return pa.table([*(pa.array(c) for c in pairs.T), pa.array(what)], schema=LINKS)


def components(links: Iterable[pa.Table], shard_rows: np.ndarray) -> pa.Table:
    """The component of the graph of all pairs that each document belongs to, and the document that it is equal to.

    The first of a component, or of equal documents, is the one that comes first in the run. Takes 18 bytes of memory for each
    document of the run, however many pairs there are.

    Args:
        links: tables of `LINKS`, iterated once.
        shard_rows: int64 [shards], documents of each shard.

    Returns:
        `LINKS`, sorted by shard and row.
    """
    begins = np.concatenate([[0], np.cumsum(shard_rows)]).astype(np.int64)
    n = int(begins[-1])
    forest, equal = np.arange(n), np.arange(n)
    seen, compared = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    for part in links:
        shard, row, other_shard, other_row, what = (column(part, name) for name in LINKS.names)
        a, b = begins[shard] + row, begins[other_shard] + other_row
        join(forest, a, b)
        same = what == EQUAL
        join(equal, a[same], b[same])
        for end in (a, b):
            seen[end] = True
            compared[end[~same]] = True
    forest, equal = roots(forest), roots(equal)
    compared[equal[compared]] = True
    linked = np.flatnonzero(seen)
    second = np.flatnonzero(equal != np.arange(n))
    at = np.concatenate([linked, second])
    to = np.concatenate([forest[linked], equal[second]])
    what = np.full(len(at), SHOWN_BY, np.uint8)
    what[: len(linked)] = np.where(compared[linked], COMPARED, ALONE)
    order = np.lexsort((what, at))
    places_of = []
    for dense in (at[order], to[order]):
        shard = np.searchsorted(begins, dense, "right") - 1
        places_of += [shard.astype(np.uint32), (dense - begins[shard]).astype(np.uint32)]
    return pa.table([*(pa.array(p) for p in places_of), pa.array(what[order])], schema=LINKS)


class Candidates(NamedTuple):
    """The decisions about documents of one shard, by rising row.

    row: uint32 [n]; name, component (the name of its first document), shown_by (its own name, or that of the document which
    it is equal to): uint64 [n]; compared: bool [n]; partners: list of uint64 [n], names.
    """

    row: np.ndarray
    name: np.ndarray
    component: np.ndarray
    shown_by: np.ndarray
    compared: np.ndarray
    partners: pa.ListArray


def candidates(decisions: pa.Table) -> Candidates:
    """From the decisions of one shard, sorted by row and other: `LINKS` with names (`NAMED_LINKS`)."""
    row, what, own, other = (column(decisions, name) for name in NAMED_LINKS.names)
    heads = (what == COMPARED) | (what == ALONE)
    docs = row[heads]
    shown_by = own[heads].copy()
    second = what == SHOWN_BY
    shown_by[np.searchsorted(docs, row[second])] = other[second]
    pair = what == DIFFERENT
    x, y = row[pair], other[pair]  # sorted; once for each band that they share
    fresh = np.ones(len(x), np.bool_)
    fresh[1:] = (x[1:] != x[:-1]) | (y[1:] != y[:-1])
    x, y = x[fresh], y[fresh]
    offsets = np.append(np.searchsorted(x, docs), len(x)).astype(np.int32)
    partners = pa.ListArray.from_arrays(pa.array(offsets), pa.array(y))
    return Candidates(docs, own[heads], other[heads], shown_by, what[heads] == COMPARED, partners)
