"""Finds rows of equal key without sorting the rest: most keys of a corpus occur once.

A two-bit table (seen, seen again), indexed by the key's upper bits, picks the keys that may repeat. Only those are sorted, in
buckets of their upper bits. The time is linear in the number of rows, and for a frequent key linear up to a logarithm.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.transforms.hashing import GOLDEN, U
from corpusmill.transforms.kernels.njit import njit


def column(table: pa.Table | pa.RecordBatch, name: str) -> np.ndarray:
    """A column of numbers without nulls as one numpy array; without a copy where it is one chunk."""
    values = table.column(name)
    if isinstance(values, pa.ChunkedArray):
        values = values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()
    return values.to_numpy(zero_copy_only=False)


def places(table: pa.Table) -> np.ndarray:
    """(shard, row) of each row as one number, shard in the upper half: uint64 [n]. For routing only, never for decisions."""
    return (column(table, "shard").astype(np.uint64) << U(32)) | column(table, "row")


def decisions_or_empty(decisions: pa.Table | None, schema: pa.Schema) -> pa.Table:
    """The decisions of a shard in one chunk; an empty table of `schema` where there are none."""
    return schema.empty_table() if decisions is None else decisions.combine_chunks()


def distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(distinct values, the index of each among them) of rising `rows`."""
    fresh = np.ones(len(rows), np.bool_)
    fresh[1:] = rows[1:] != rows[:-1]
    return rows[fresh], np.cumsum(fresh) - 1


@njit(nogil=True, cache=True)
def _maybe_repeated(keys: Any, bits: int) -> Any:
    """int64 positions of the keys whose slot of the table was hit more than once."""
    shift = U(64 - bits)
    table = np.zeros((1 << bits) // 4 + 1, np.uint8)
    again = 0
    for key in keys:
        slot = (key * GOLDEN) >> shift
        at, low = slot >> U(2), U(2) * (slot & U(3))
        state = (U(table[at]) >> low) & U(3)
        if state == U(0):
            table[at] |= np.uint8(U(1) << low)
        elif state == U(1):
            table[at] |= np.uint8(U(2) << low)
            again += 2
        else:
            again += 1
    out = np.empty(again, np.int64)
    n = 0
    for i in range(len(keys)):
        slot = (keys[i] * GOLDEN) >> shift
        if (U(table[slot >> U(2)]) >> (U(2) * (slot & U(3)))) & U(2):
            out[n] = i
            n += 1
    return out[:n]


@njit(inline="always")
def _less(key: Any, second: Any, third: Any, a: int, b: int) -> bool:
    if key[a] != key[b]:
        return key[a] < key[b]
    if second[a] != second[b]:
        return second[a] < second[b]
    return third[a] < third[b]


@njit(nogil=True, cache=True)
def _sift(rows: Any, root: int, first: int, count: int, key: Any, second: Any, third: Any) -> None:
    while True:
        child = 2 * root + 1
        if child >= count:
            return
        if child + 1 < count and _less(key, second, third, rows[first + child], rows[first + child + 1]):
            child += 1
        if not _less(key, second, third, rows[first + root], rows[first + child]):
            return
        rows[first + root], rows[first + child] = rows[first + child], rows[first + root]
        root = child


@njit(nogil=True, cache=True)
def _sort(picked: Any, key: Any, second: Any, third: Any, bits: int) -> Any:
    """`picked` sorted by (key, second, third), and the begin of each run of equal keys, with the end of the last."""
    n = len(picked)
    shift = U(64 - bits)
    begin = np.zeros((1 << bits) + 1, np.int64)
    for p in picked:
        begin[((key[p] * GOLDEN) >> shift) + U(1)] += 1
    for b in range(1, len(begin)):
        begin[b] += begin[b - 1]
    rows = np.empty(n, np.int64)
    fill = begin.copy()
    for p in picked:
        b = (key[p] * GOLDEN) >> shift
        rows[fill[b]] = p
        fill[b] += 1
    for b in range(1 << bits):
        first, count = begin[b], begin[b + 1] - begin[b]
        if count < 24:
            for i in range(first + 1, first + count):
                row = rows[i]
                j = i
                while j > first and _less(key, second, third, row, rows[j - 1]):
                    rows[j] = rows[j - 1]
                    j -= 1
                rows[j] = row
        else:  # a frequent key: heap sort
            for root in range(count // 2 - 1, -1, -1):
                _sift(rows, root, first, count, key, second, third)
            for last in range(count - 1, 0, -1):
                rows[first], rows[first + last] = rows[first + last], rows[first]
                _sift(rows, 0, first, last, key, second, third)
    runs = np.empty(n + 1, np.int64)
    k = 0
    for i in range(n):
        if i == 0 or key[rows[i]] != key[rows[i - 1]]:
            runs[k] = i
            k += 1
    runs[k] = n
    return rows, runs[: k + 1]


@njit(nogil=True, cache=True)
def _drop_single(rows: Any, runs: Any) -> Any:
    """`rows` and `runs` without the runs of one row."""
    n = k = 0
    out = np.empty(len(rows), np.int64)
    kept = np.zeros(len(runs), np.int64)
    for r in range(len(runs) - 1):
        if runs[r + 1] - runs[r] > 1:
            kept[k] = n
            k += 1
            for i in range(runs[r], runs[r + 1]):
                out[n] = rows[i]
                n += 1
    kept[k] = n
    return out[:n], kept[: k + 1]


def _bits(n: int, low: int, high: int) -> int:
    return int(min(max(n.bit_length() + low, 1), high))


def repeated(key: np.ndarray, second: np.ndarray, third: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows whose key occurs more than once.

    Args:
        key, second, third: uint64 [n]; `key` holds hashes.

    Returns:
        rows int64 [m], sorted by (key, second, third) but for the order of the keys; runs int64 [groups + 1], where each
        group of equal keys begins in `rows`.

    >>> key = np.array([7, 5, 7, 1], np.uint64)
    >>> rows, runs = repeated(key, np.array([2, 0, 1, 0], np.uint64), key)
    >>> rows.tolist(), runs.tolist()
    ([2, 0], [0, 2])
    """
    picked = _maybe_repeated(key, _bits(len(key), 3, 31))
    rows, runs = _sort(picked, key, second, third, _bits(len(picked), -1, 24))
    return _drop_single(rows, runs)


def grouped(key: np.ndarray, second: np.ndarray, third: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `repeated`, with the keys that occur once as groups of one row."""
    return _sort(np.arange(len(key)), key, second, third, _bits(len(key), -1, 24))
