"""Pairs of near vectors within a cluster, block against block, in memory that does not grow with the cluster.

Equal vectors are linked once, to the first of them, which alone is compared: so a corpus of equal documents takes linear time. Of
its pairs each vector keeps the `PARTNERS` nearest to it, so a dense cluster makes a linear number of pairs.
"""

from __future__ import annotations

import numpy as np

from corpusmill.transforms.embed.kmeans import lengths

PARTNERS = 8
"""Pairs of a vector with others that come after it."""

PAIRS = 1 << 16
"""Pairs that are confirmed at once."""

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]
"""(a int64 [m], b int64 [m], cosine float64 [m]); a before b."""


def equal(vectors: np.ndarray, content: np.ndarray) -> np.ndarray:
    """int64 [n]: the first row that has the vector of each row, or for vectors of zeros its `content` (uint64)."""
    rows = np.ascontiguousarray(vectors).view(np.dtype((np.void, vectors.shape[1]))).reshape(-1)
    blank = ~vectors.any(axis=1)
    _, first, same = np.unique(rows, return_index=True, return_inverse=True)
    head = first[same].astype(np.int64)
    at = np.flatnonzero(blank)
    if len(at):
        _, first, same = np.unique(content[at], return_index=True, return_inverse=True)
        head[at] = at[first[same]]
    return head


def near(vectors: np.ndarray, threshold: float, block: int) -> Pairs:
    """Pairs of different rows of a cosine of at least `threshold`, sorted by (a, b).

    A block is screened with float32, and what may pass is computed in whole numbers: so the answer is the same on any machine.

    Args:
        vectors: int8 [n, d], no two of them equal, none of zeros.
        threshold: least cosine.
        block: rows that are compared with as many others at once: memory is some 10 bytes times its square.
    """
    own = lengths(vectors)
    scaled = (vectors / own[:, None]).astype(np.float32)
    parts = []
    for begin in range(0, len(vectors), block):
        held: Pairs = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
        for other in range(begin, len(vectors), block):
            cosine = scaled[begin : begin + block] @ scaled[other : other + block].T
            a, b = np.nonzero(cosine >= threshold - 1e-4)
            a, b = a + begin, b + other
            if other == begin:
                a, b = a[a < b], b[a < b]
            held = _nearest(_confirmed(vectors, own, a, b, threshold), held)
        parts.append(held)
    if not parts:
        none = np.zeros(0, np.int64)
        return none, none, np.zeros(0)
    a, b, value = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((b, a))
    return a[order], b[order], value[order]


def _confirmed(vectors: np.ndarray, own: np.ndarray, a: np.ndarray, b: np.ndarray, threshold: float) -> Pairs:
    """The pairs that reach the threshold, by products of whole numbers."""
    dot = np.empty(len(a), np.int64)
    for begin in range(0, len(a), PAIRS):
        part = slice(begin, begin + PAIRS)
        dot[part] = np.einsum("ij,ij->i", vectors[a[part]], vectors[b[part]], dtype=np.int64)
    cosine = dot / (own[a] * own[b])
    keep = cosine >= threshold
    return a[keep], b[keep], cosine[keep]


def _nearest(new: Pairs, held: Pairs) -> Pairs:
    """Of both lists, the `PARTNERS` nearest partners of each a."""
    a, b, cosine = (np.concatenate(pair) for pair in zip(new, held, strict=True))
    order = np.lexsort((b, -cosine, a))
    a = a[order]
    keep = np.arange(len(a)) - np.searchsorted(a, a) < PARTNERS
    order = order[keep]
    return a[keep], b[order], cosine[order]
