"""Finds the windows, among runs that share a fingerprint, that occurred before, byte for byte."""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.transforms.hashing import GOLDEN, U
from corpusmill.transforms.kernels.bits import load64
from corpusmill.transforms.kernels.njit import njit


@njit(inline="always")
def _equal(data: Any, a: int, b: int, size: int) -> bool:
    i = 0
    while i + 8 <= size:
        if load64(data, a + i) != load64(data, b + i):
            return False
        i += 8
    while i < size:
        if data[a + i] != data[b + i]:
            return False
        i += 1
    return True


@njit(nogil=True, cache=True)
def repeated_windows(
    rows: Any,
    groups: Any,
    span: Any,
    order: Any,
    begin: Any,
    windows: Any,
    offsets: Any,
    data: Any,
    table: Any,
    size: int,
    keep_first: bool,
) -> tuple[Any, Any, Any, Any]:
    """Ranges to cut: (row, begin, end, row of an earlier occurrence) int64 [m].

    rows, groups: of `grouped` by key, span and order. order: uint64 [n], of runs: what comes first stays. begin, windows:
    int64 [n], of each run in its text. offsets, data: the bytes under each run's windows; in groups of one span without
    windows equal to each other there are none, else one of the runs of each span has them.
    """
    room = len(rows) + 16
    out = np.empty((room, 4), np.int64)
    m = 0
    power = U(1)
    for _ in range(size):
        power *= GOLDEN
    for g in range(len(groups) - 1):
        first, last = groups[g], groups[g + 1]
        total = 0  # windows to look at one by one
        i = first
        while i < last:
            owner = rows[i]
            shown = -1
            j = i
            while j < last and span[rows[j]] == span[owner]:
                row = rows[j]
                if offsets[row + 1] > offsets[row]:
                    shown = row
                if j > i or (not keep_first and j + 1 < last and span[rows[j + 1]] == span[owner]):
                    if m == room:
                        out = np.concatenate((out, np.empty_like(out)))
                        room *= 2
                    other = owner if j > i else rows[i + 1]
                    out[m, 0], out[m, 1], out[m, 2], out[m, 3] = (
                        row,
                        begin[row],
                        begin[row] + windows[row] - 1 + size,
                        other,
                    )
                    m += 1
                j += 1
            if shown >= 0:
                total += windows[owner]
            i = j
        if total == 0:
            continue
        bits = 1
        while (1 << bits) < 2 * total:
            bits += 1
        mask = (1 << bits) - 1
        slots = np.full(1 << bits, -1, np.int64)
        # one entry a window: where its bytes are, whose it is, and which entry was the first of its equals
        where = np.empty(total, np.int64)
        whose = np.empty(total, np.int64)
        head = np.empty(total, np.int64)
        best = np.empty(total, np.int64)  # of a head: the first of its equals, in order
        many = np.zeros(total, np.bool_)
        k = 0
        i = first
        while i < last:
            owner = rows[i]
            shown = -1
            while i < last and span[rows[i]] == span[owner]:
                if offsets[rows[i] + 1] > offsets[rows[i]]:
                    shown = rows[i]
                i += 1
            if shown < 0:
                continue
            base = offsets[shown]
            h = U(0)
            for b in range(size):
                h = h * GOLDEN + table[data[base + b]]
            for w in range(windows[owner]):
                if w:
                    h = h * GOLDEN + table[data[base + w + size - 1]] - table[data[base + w - 1]] * power
                where[k], whose[k], head[k], best[k] = base + w, owner, k, k
                at = np.int64((h * GOLDEN) >> U(64 - bits))
                while slots[at] >= 0:
                    e = slots[at]
                    if _equal(data, where[e], where[k], size):
                        head[k] = e
                        many[e] = True
                        o = whose[best[e]]
                        # of one run's own windows the earlier entry is the first already
                        if order[owner] < order[o]:
                            best[e] = k
                        break
                    at = (at + 1) & mask
                else:
                    slots[at] = k
                k += 1
        k = 0
        while k < total:
            owner = whose[k]
            end = k + windows[owner]
            base = k
            while k < end:
                e = head[k]
                if not many[e] or (keep_first and best[e] == k):
                    k += 1
                    continue
                from_k = k
                other = whose[best[e]]
                while k < end and many[head[k]] and not (keep_first and best[head[k]] == k):
                    k += 1
                if m == room:
                    out = np.concatenate((out, np.empty_like(out)))
                    room *= 2
                out[m, 0], out[m, 1] = owner, begin[owner] + from_k - base
                out[m, 2], out[m, 3] = begin[owner] + (k - 1 - base) + size, other
                m += 1
    return out[:m, 0], out[:m, 1], out[:m, 2], out[:m, 3]
