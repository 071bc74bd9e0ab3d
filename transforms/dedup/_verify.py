"""True Jaccard similarity of candidate pairs, and the clusters of the pairs that pass.

    J(A, B) = |A intersect B| / |A union B|, over sets of shingles

Clusters are the connected components of the confirmed pairs (single linkage): a document may be in a cluster through a
chain of pairs, without being similar to the survivor itself. `direct` makes no chains: it goes through the documents in the
order of survival, and drops a document only for a survivor that is similar enough itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.transforms.dedup._union_find import find, union
from corpusmill.transforms.kernels.njit import njit

LARGE = 64
"""In candidate components of more documents, pairs already joined through others are not compared again."""


@njit(nogil=True, cache=True)
def jaccard(values: Any, a: int, a_end: int, b: int, b_end: int, threshold: float) -> float:
    """Jaccard similarity of two rising runs of `values`; -1 as soon as it cannot reach `threshold`."""
    total = (a_end - a) + (b_end - b)
    if min(a_end - a, b_end - b) < threshold * max(a_end - a, b_end - b):
        return -1.0
    # J >= t means: at most this many elements of one without the other
    spare = np.int64(np.floor(total * (1.0 - threshold) / (1.0 + threshold) + 1e-9))
    common = 0
    while a < a_end and b < b_end:
        x, y = values[a], values[b]
        if x == y:
            common += 1
            a += 1
            b += 1
        else:
            spare -= 1
            if spare < 0:
                return -1.0
            if x < y:
                a += 1
            else:
                b += 1
    return common / (total - common) if total > common else 1.0


@njit(nogil=True, cache=True)
def confirm(
    best: Any, shown: Any, size: Any, left: Any, right: Any, offsets: Any, values: Any, threshold: float, verified: bool
) -> tuple[Any, Any, Any, Any]:
    """Confirm pairs and cluster. Rows are numbered in the order of survival: row 0 survives all others.

    best: int64 [n], the first of the documents equal to each, which stands for them in the pairs; shown: int64 [n], the
    one of them that carries the shingles; size: int64 [n], documents in each row's candidate component; left, right:
    int64 [m], sorted pairs of best rows; offsets, values: each row's shingles; verified: compare at all.
    Returns (root int64 [n], a int64 [k], b int64 [k], similarity float64 [k]): the survivor of each row, and the pairs.
    """
    n = len(best)
    parent = np.arange(n)
    out_a = np.empty(n + len(left), np.int64)
    out_b = np.empty(n + len(left), np.int64)
    similarity = np.empty(n + len(left), np.float64)
    k = 0
    for row in range(n):
        if best[row] != row:
            out_a[k], out_b[k], similarity[k] = best[row], row, 1.0
            k += 1
            union(parent, best[row], row)
    for p in range(len(left)):
        x, y = left[p], right[p]
        if size[x] > LARGE and find(parent, x) == find(parent, y):
            continue
        j = np.nan
        if verified:
            i, o = shown[x], shown[y]
            j = jaccard(values, offsets[i], offsets[i + 1], offsets[o], offsets[o + 1], threshold)
            if j < threshold:
                continue
        out_a[k], out_b[k], similarity[k] = x, y, j
        k += 1
        union(parent, x, y)
    for row in range(n):
        parent[row] = find(parent, row)
    return parent, out_a[:k], out_b[:k], similarity[:k]


@njit(nogil=True, cache=True)
def similarity_to_survivor(root: Any, a: Any, b: Any, similarity: Any) -> Any:
    """float64 [n]: a row's similarity to its survivor if that pair was confirmed, else the greatest of its pairs."""
    out = np.full(len(root), np.nan)
    direct = np.zeros(len(root), np.bool_)
    for p in range(len(a)):
        for x, y in ((a[p], b[p]), (b[p], a[p])):
            if root[x] == y:
                out[x] = similarity[p]
                direct[x] = True
            elif not direct[x] and not out[x] >= similarity[p]:
                out[x] = similarity[p]
    return out


@njit(nogil=True, cache=True)
def direct(
    best: Any, shown: Any, component: Any, size: Any, left: Any, right: Any, offsets: Any, values: Any, threshold: float
) -> tuple[Any, Any, Any, Any]:
    """As `confirm`, without chains: a row is dropped for the most similar survivor of at least `threshold` before it.

    In candidate components of up to LARGE documents a row is compared with every survivor before it. In larger ones it is
    compared with those of its candidates, and with the survivors for which its candidates were dropped.
    component: int64 [n], numbers from 0. The pairs are those of the dropped rows and their survivors.
    """
    n = len(best)
    root = np.arange(n)
    begin = np.zeros(n + 1, np.int64)  # candidates before each row: before[begin[row]:begin[row + 1]]
    for p in range(len(left)):
        begin[right[p] + 1] += 1
    for row in range(n):
        begin[row + 1] += begin[row]
    before, fill = np.empty(len(left), np.int64), begin[:-1].copy()
    for p in range(len(left)):
        before[fill[right[p]]] = left[p]
        fill[right[p]] += 1
    components = 0
    for row in range(n):
        components = max(components, component[row] + 1)
    newest = np.full(components, -1, np.int64)  # survivors of a component, as a list linked by `older`
    older = np.full(n, -1, np.int64)
    out_a, out_b, similarity = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.float64)
    to_survivor = np.ones(n)
    k = 0
    for row in range(n):
        if best[row] != row:
            root[row] = root[best[row]]
            out_a[k], out_b[k], similarity[k] = root[row], row, to_survivor[best[row]]
            k += 1
            continue
        o = shown[row]
        most, survivor = -1.0, -1
        if size[row] <= LARGE:
            other = newest[component[row]]
            while other >= 0:
                i = shown[other]
                j = jaccard(values, offsets[i], offsets[i + 1], offsets[o], offsets[o + 1], threshold)
                if j >= threshold and (j > most or (j == most and other < survivor)):
                    most, survivor = j, other
                other = older[other]
        else:
            for p in range(begin[row], begin[row + 1]):
                other = root[before[p]]
                i = shown[other]
                j = jaccard(values, offsets[i], offsets[i + 1], offsets[o], offsets[o + 1], threshold)
                if j >= threshold and (j > most or (j == most and other < survivor)):
                    most, survivor = j, other
        if survivor >= 0:
            root[row], to_survivor[row] = survivor, most
            out_a[k], out_b[k], similarity[k] = survivor, row, most
            k += 1
        else:
            older[row] = newest[component[row]]
            newest[component[row]] = row
    return root, out_a[:k], out_b[:k], similarity[:k]
