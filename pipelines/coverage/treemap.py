"""Rectangles whose areas are sizes: a map of clusters, with those of one larger topic beside each other.

Source: squarified treemaps (Bruls, Huizing and van Wijk 2000): a row of rectangles grows as long as the worst ratio of their
sides falls.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Box = tuple[float, float, float, float]
"""x, y, width, height."""


def squarify(sizes: Sequence[float], box: Box) -> list[Box]:
    """A rectangle within `box` for each size, in the order of `sizes`; areas are in proportion to sizes, which are above 0."""
    order = sorted(range(len(sizes)), key=lambda i: (-sizes[i], i))
    x, y, width, height = box
    left = float(sum(sizes))
    out: list[Box] = [(x, y, 0.0, 0.0)] * len(sizes)
    at = 0
    while at < len(order):
        side = min(width, height)
        unit = width * height / left if left > 0 else 0.0
        end, row = at + 1, sizes[order[at]]
        while end < len(order):
            more = row + sizes[order[end]]
            areas = [sizes[i] * unit for i in order[at : end + 1]]
            if _worst(areas, more * unit, side) > _worst(areas[:-1], row * unit, side):
                break
            row, end = more, end + 1
        thick = row * unit / side if side > 0 else 0.0
        along = y if width >= height else x
        for i in order[at:end]:
            length = side * sizes[i] / row
            out[i] = (x, along, thick, length) if width >= height else (along, y, length, thick)
            along += length
        if width >= height:
            x, width = x + thick, max(0.0, width - thick)
        else:
            y, height = y + thick, max(0.0, height - thick)
        left, at = left - row, end
    return out


def _worst(areas: Sequence[float], total: float, side: float) -> float:
    """The worst ratio of sides in a row of rectangles along a side."""
    if total <= 0 or side <= 0:
        return float("inf")
    return max(max(side * side * a / total**2, total**2 / (side * side * a)) if a > 0 else float("inf") for a in areas)


def tiles(
    counts: np.ndarray, groups: np.ndarray, width: float, height: float
) -> list[tuple[int, float, float, float, float]]:
    """(cluster, x, y, width, height) of each cluster that has documents.

    Args:
        counts: int64 [k], documents of each cluster.
        groups: int32 [k], the larger topic that each is part of.
        width, height: of the whole.
    """
    used = np.flatnonzero(counts > 0)
    names = np.unique(groups[used])
    totals = [float(counts[used][groups[used] == g].sum()) for g in names]
    found = []
    for g, box in zip(names, squarify(totals, (0.0, 0.0, width, height)), strict=True):
        mine = used[groups[used] == g]
        for c, inner in zip(mine.tolist(), squarify([float(n) for n in counts[mine]], box), strict=True):
            found.append((c, *inner))
    return found
