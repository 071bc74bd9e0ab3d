"""Kernels that assign pieces of documents to rows, and fill the rows.

Best-fit-decreasing over pieces of at most `length` tokens (Ding et al. 2024, "Fewer truncations improve language
modeling", section 3): documents longer than a row are cut into full rows and a rest, pieces go longest first into the
fullest row that has room. Rows are kept by their room in a binary tree over 0..length, so a piece costs O(log length).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.transforms.hashing import GOLDEN, U, mix64, mix64_array
from corpusmill.transforms.kernels.njit import njit


@njit(nogil=True, cache=True)
def _wrap(offsets: Any, ids: Any, bos: int, eos: int, ends: Any, out: Any) -> None:
    at = 0
    for i in range(len(offsets) - 1):
        if offsets[i + 1] > offsets[i]:
            if bos >= 0:
                out[at] = bos
                at += 1
            for k in range(offsets[i], offsets[i + 1]):
                out[at] = ids[k]
                at += 1
            if eos >= 0:
                out[at] = eos
                at += 1
        ends[i + 1] = at


def wrap(offsets: np.ndarray, ids: np.ndarray, bos: int, eos: int, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """(offsets int64, tokens of `dtype`) with `bos` before and `eos` behind each document that has tokens; -1: none."""
    full = np.count_nonzero(offsets[1:] > offsets[:-1])
    out = np.empty(int(offsets[-1] - offsets[0]) + full * ((bos >= 0) + (eos >= 0)), dtype)
    ends = np.zeros(len(offsets), np.int64)
    ids = np.asarray(ids, np.uint32)[:]
    ids.flags.writeable = False  # writeable or not as Arrow's buffers are, so that one kernel serves both
    _wrap(np.asarray(offsets, np.int64)[:], ids, bos, eos, ends, out)
    return ends, out


@njit(nogil=True, cache=True)
def best_fit(sizes: Any, length: int) -> tuple[Any, int]:
    """(row of each piece int64 [n], number of rows) for pieces given longest first, each of 1..length tokens."""
    leaves = 1
    while leaves < length + 1:
        leaves *= 2
    full = np.zeros(2 * leaves, np.bool_)  # is there a row in this range of room?
    head = np.full(length + 1, -1, np.int64)  # room -> last row with that room
    below = np.empty(len(sizes), np.int64)  # row -> next row with the same room
    rows = np.empty(len(sizes), np.int64)
    count = 0
    for i in range(len(sizes)):
        size = sizes[i]
        node = leaves + size
        if not full[node]:
            while node > 1:  # up, until a range to the right has a row
                if node % 2 == 0 and full[node + 1]:
                    node += 1
                    break
                node //= 2
        if node > 1:
            while node < leaves:
                node = 2 * node if full[2 * node] else 2 * node + 1
            room = node - leaves
            row = head[room]
            head[room] = below[row]
            if head[room] < 0:
                full[node] = False
                node //= 2
                while node >= 1:
                    full[node] = full[2 * node] or full[2 * node + 1]
                    node //= 2
        else:
            room = length
            row = count
            count += 1
        rows[i] = row
        room -= size
        if room > 0:
            below[row] = head[room]
            head[room] = row
            node = leaves + room
            while node >= 1 and not full[node]:
                full[node] = True
                node //= 2
    return rows, count


@njit(nogil=True, cache=True)
def fill(first: Any, start: Any, size: Any, tokens: Any, ids: Any, segments: Any, positions: Any) -> None:
    """Rows from pieces: row r holds pieces first[r]:first[r+1], piece p is tokens[start[p]:start[p]+size[p]].

    ids, segments, positions [rows, length] come filled with padding; segments count from 1, positions from 0.
    """
    for r in range(len(first) - 1):
        at = 0
        for p in range(first[r], first[r + 1]):
            source = start[p]
            for k in range(size[p]):
                ids[r, at + k] = tokens[source + k]
                segments[r, at + k] = p - first[r] + 1
                positions[r, at + k] = k
            at += size[p]


@njit(nogil=True, cache=True)
def row_hashes(first: Any, documents: Any, offset: Any, hashes: Any) -> Any:
    """128-bit hash of each row, uint64 [rows, 2], from its pieces: (hash of the document's id, first token) in order."""
    out = np.empty((len(first) - 1, 2), np.uint64)
    for r in range(len(first) - 1):
        a = GOLDEN
        b = U(0)
        for p in range(first[r], first[r + 1]):
            at = mix64(U(offset[p]) + GOLDEN)
            a = mix64((a ^ hashes[documents[p], 0]) * GOLDEN + at)
            b = mix64((b ^ hashes[documents[p], 1]) * GOLDEN + at + a)
        out[r, 0] = a
        out[r, 1] = b
    return out


def cut_full_rows(sizes: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(document, offset, size) of pieces: full rows and a rest for each document."""
    parts = -(-sizes // length)
    document = np.repeat(np.arange(len(sizes)), parts)
    number = np.arange(len(document)) - np.repeat(np.cumsum(parts) - parts, parts)
    offset = number * length
    return document, offset, np.minimum(sizes[document] - offset, length)


def cut_stream(sizes: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(document, offset, size, row) of pieces: documents one behind the other, cut wherever a row ends."""
    ends = np.cumsum(sizes)
    begins = ends - sizes
    first = begins // length
    parts = (ends - 1) // length - first + 1
    document = np.repeat(np.arange(len(sizes)), parts)
    number = np.arange(len(document)) - np.repeat(np.cumsum(parts) - parts, parts)
    row = first[document] + number
    begin = np.maximum(begins[document], row * length)
    return document, begin - begins[document], np.minimum(ends[document], (row + 1) * length) - begin, row


Pieces = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""(document, offset, size, row) of pieces, in the order of rows and, within a row, of tokens."""


def place(sizes: np.ndarray, keys: np.ndarray, groups: np.ndarray, length: int, best: bool) -> Pieces:
    """Pieces of documents of 1 or more tokens. keys uint64: their draws; documents come in the order of these.

    groups int64: documents of different groups share no row. Nothing here depends on the order of documents or groups
    but through `keys`.
    """
    parts, rows = [], 0
    by_group = np.argsort(groups, kind="stable")
    bounds = np.flatnonzero(np.diff(groups[by_group], prepend=-1, append=-1))
    for begin, end in zip(bounds, bounds[1:]):
        documents = by_group[begin:end]
        which, offset, size, row = (_place_best if best else _place_stream)(sizes[documents], keys[documents], length)
        parts.append((documents[which], offset, size, row + rows))
        rows += int(row.max()) + 1
    which, offset, size, row = (np.concatenate(column) for column in zip(*parts))
    if not best and len(parts) == 1:
        return which, offset, size, row
    # best-fit makes rows from the longest documents on, group by group: order rows by their least draw
    draws = _draws(keys[which], offset)
    least = np.full(rows, 2**64 - 1, np.uint64)
    np.minimum.at(least, row, draws)
    rank = np.empty(rows, np.int64)
    rank[np.argsort(least, kind="stable")] = np.arange(rows)
    row = rank[row]
    order = np.lexsort((draws, row)) if best else np.argsort(row, kind="stable")
    return which[order], offset[order], size[order], row[order]


def _draws(keys: np.ndarray, offset: np.ndarray) -> np.ndarray:
    return mix64_array(keys + mix64_array(offset.astype(np.uint64) + U(1)))


def _place_best(sizes: np.ndarray, keys: np.ndarray, length: int) -> Pieces:
    which, offset, size = cut_full_rows(sizes, length)
    order = np.lexsort((_draws(keys[which], offset), -size))
    row = np.empty(len(size), np.int64)
    row[order], _ = best_fit(size[order], length)
    return which, offset, size, row


def _place_stream(sizes: np.ndarray, keys: np.ndarray, length: int) -> Pieces:
    return cut_stream(sizes, length)


def distinct(hashes: np.ndarray) -> np.ndarray:
    """uint64 [n, 2] hashes with the second, third, ... of equal ones changed by their number."""
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))
    ordered = hashes[order]
    same = np.zeros(len(hashes), np.bool_)
    same[1:] = (ordered[1:] == ordered[:-1]).all(axis=1)
    if same.any():
        places = np.arange(len(hashes))
        number = places - np.maximum.accumulate(np.where(same, 0, places))
        ordered[:, 0] ^= np.where(same, mix64_array(number.astype(np.uint64)), U(0))
        hashes[order] = ordered
    return hashes
