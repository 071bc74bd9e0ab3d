"""Two levels of clusters: coarse ones, each cut into finer ones in proportion to its size."""

from __future__ import annotations

import numpy as np

from corpusmill.transforms.embed.kmeans import cluster, nearest


def two_levels(
    vectors: np.ndarray, order: np.ndarray, coarse: int, fine: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(centres int8 [k, d], groups int32 [k]): about `fine` centres, and which of at most `coarse` clusters each is part of.

    Coarse clusters are numbered by size, the biggest first, and so are the fine ones of each.

    Args:
        vectors: int8 [n, d].
        order: uint64 [n], by content.
        coarse, fine: clusters of each level.
        seed: of the first centres.
    """
    ones = np.ones(len(vectors), np.int64)
    top = cluster(vectors, ones, coarse, seed, order)
    if not len(top):
        return np.zeros((0, vectors.shape[1]), np.int8), np.zeros(0, np.int32)
    use = vectors.any(axis=1)
    which = np.where(use, nearest(vectors, top)[0][:, 0], -1)
    sizes = np.bincount(which[use], minlength=len(top))
    centres, groups = [], []
    for number, group in enumerate(_by_size(sizes)):
        mine = which == group
        count = max(1, round(fine * int(sizes[group]) / max(1, int(sizes.sum()))))
        found = cluster(vectors[mine], ones[mine], count, seed + 1 + number, order[mine])
        inside = np.bincount(nearest(vectors[mine], found)[0][:, 0], minlength=len(found))
        centres.append(found[_by_size(inside)])
        groups.append(np.full(len(found), number, np.int32))
    return np.concatenate(centres), np.concatenate(groups)


def _by_size(sizes: np.ndarray) -> np.ndarray:
    """Numbers from the largest size to the smallest; empty ones are left out."""
    order = np.argsort(-sizes, kind="stable")
    return order[sizes[order] > 0]
