"""Spherical k-means over int8 vectors, in whole numbers: the same clusters on any machine, for any order of the vectors.

    assign x to the centre c of the greatest  x . c / |c|,    c <- int8 of the sum of its vectors

Source: Dhillon and Modha 2001, "Concept decompositions for large sparse text data using clustering"; first centres as in
k-means++ (Arthur and Vassilvitskii 2007), with draws keyed by the seed. Products of int8 vectors are below 2^24 for up to 1,024
dimensions, so float32 holds them and all their partial sums exactly. Ties go to the first centre.
"""

from __future__ import annotations

import numpy as np

from corpusmill.transforms.hashing import GOLDEN, U, mix64_array

ROUNDS = 12
STRIPE = 4_096
"""Vectors that are compared with all centres at once."""


def dots(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """All products of int8 vectors [n, d] and [m, d]: float32 [n, m], exact whole numbers."""
    product: np.ndarray = a.astype(np.float32) @ b.astype(np.float32).T
    return product


def lengths(vectors: np.ndarray) -> np.ndarray:
    """float64 [n]: lengths of int8 vectors, 1 for a vector of zeros. The square root of a whole number is the same anywhere."""
    squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.int64)
    return np.sqrt(np.maximum(squares, 1).astype(np.float64))


def nearest(vectors: np.ndarray, centres: np.ndarray, count: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The `count` nearest centres of each vector, nearest first: (int32 [n, count], their cosines float64 [n, count])."""
    n, count = len(vectors), min(count, len(centres))
    which, cosines = np.zeros((n, count), np.int32), np.zeros((n, count))
    scale, own = lengths(centres), lengths(vectors)
    for begin in range(0, n, STRIPE):
        part = slice(begin, begin + STRIPE)
        near = dots(vectors[part], centres) / scale
        rows = np.arange(len(near))
        for k in range(count):
            best = near.argmax(axis=1)
            which[part, k] = best
            cosines[part, k] = near[rows, best] / own[part]
            near[rows, best] = -np.inf
    return which, cosines


def cluster(vectors: np.ndarray, weights: np.ndarray, k: int, seed: int, order: np.ndarray) -> np.ndarray:
    """Centres of `k` clusters at most: int8 [k, d]; fewer where there are fewer different vectors.

    Args:
        vectors: int8 [n, d]; vectors of zeros take no part.
        weights: int64 [n], how often each counts.
        k: clusters.
        seed: of the first centres.
        order: uint64 [n], a number of each vector that follows from its content; sorts them.
    """
    use = vectors.any(axis=1) & (weights > 0)
    by = np.argsort(order[use], kind="stable")
    vectors, weights = vectors[use][by], weights[use][by]
    if not len(vectors):
        return np.zeros((0, vectors.shape[1]), np.int8)
    centres = _first(vectors, weights, k, seed)
    before: np.ndarray | None = None
    for _ in range(ROUNDS):
        which = nearest(vectors, centres)[0][:, 0]
        if before is not None and np.array_equal(which, before):
            break
        before = which
        sums = np.zeros(centres.shape, np.int64)
        for begin in range(0, len(vectors), STRIPE):
            part = slice(begin, begin + STRIPE)
            np.add.at(sums, which[part], unit(vectors[part]) * weights[part, None])
        full = sums.any(axis=1)
        centres = centres.copy()
        centres[full] = from_sums(sums[full])
    return centres


def unit(vectors: np.ndarray) -> np.ndarray:
    """int8 vectors at length 4,096, rounded: int64 [n, d]. Sums of them count every vector alike."""
    scaled: np.ndarray = np.rint(vectors * (4096.0 / lengths(vectors))[:, None]).astype(np.int64)
    return scaled


def from_sums(sums: np.ndarray) -> np.ndarray:
    """Sums of vectors as int8 vectors of the same directions, the largest component 127."""
    largest = np.maximum(np.abs(sums).max(axis=1, keepdims=True), 1)
    scaled: np.ndarray = np.rint(sums * 127.0 / largest).astype(np.int8)
    return scaled


def _first(vectors: np.ndarray, weights: np.ndarray, k: int, seed: int) -> np.ndarray:
    """First centres: each is drawn with a chance in proportion to its squared distance from those before it."""
    own = lengths(vectors)
    chosen: list[int] = []
    far = np.full(len(vectors), 1 << 20, np.int64)
    for number in range(k):
        total = np.cumsum(far * weights)
        if total[-1] <= 0:
            break
        with np.errstate(over="ignore"):
            draw = mix64_array(np.array([seed], np.uint64) * GOLDEN + U(number + 1))[0]
        at = int(np.searchsorted(total, int(draw) % int(total[-1]), "right"))
        chosen.append(at)
        cosine = dots(vectors, vectors[at : at + 1])[:, 0].astype(np.float64) / (own * own[at])
        # on a grid, and zero for what is as good as equal
        far = np.minimum(far, np.maximum(np.rint((1.0 - cosine) * (1 << 20)).astype(np.int64) - 64, 0))
    return vectors[chosen]
