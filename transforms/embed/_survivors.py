"""The survivors among documents that near pairs join, chosen by rank: of whole chains, or each near enough itself."""

from __future__ import annotations

import numpy as np

from corpusmill.transforms.dedup._union_find import join, roots


def survivors(n: int, a: np.ndarray, b: np.ndarray, cosine: np.ndarray, chain: bool) -> tuple[np.ndarray, np.ndarray]:
    """(root int64 [n], cosine to it float64 [n]): the survivor of each row; itself and nan where it survives.

    Args:
        n: rows, numbered by rank: 0 survives all others.
        a, b: int64 [m], rows of each pair.
        cosine: float64 [m].
        chain: whether a row is in the cluster of all that pairs lead to; the cosine is then that to the survivor if they make a
            pair, else the greatest of the row's pairs. Otherwise it is dropped for the nearest of the
            survivors that it makes a pair with.
    """
    low, high = np.minimum(a, b), np.maximum(a, b)
    order = np.lexsort((low, -cosine, high))
    low, high, cosine = low[order], high[order], cosine[order]
    root, value = np.arange(n), np.full(n, np.nan)
    if chain:
        join(root, low, high)
        root = roots(root)
        most = np.full(n, -np.inf)
        for end in (low, high):
            np.maximum.at(most, end, cosine)
        value = np.where(root != np.arange(n), most, np.nan)
        direct = root[high] == low
        value[high[direct]] = cosine[direct]
        return root, value
    begins = np.searchsorted(high, np.arange(n + 1))
    for row in np.unique(high).tolist():
        pairs = slice(begins[row], begins[row + 1])
        alive = np.flatnonzero(root[low[pairs]] == low[pairs])
        if len(alive):
            best = begins[row] + int(alive[0])
            root[row], value[row] = low[best], cosine[best]
    return root, value
