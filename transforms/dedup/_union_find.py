"""Connected components by union-find: near-linear time, no recursion, a forest that is its own mergeable state.

Path halving and union by smallest number (Tarjan and van Leeuwen 1984): every root is the smallest number of its
component, so the result does not depend on the order of the edges.
"""

from __future__ import annotations

from typing import Any

from corpusmill.transforms.kernels.njit import njit


@njit(inline="always")
def find(parent: Any, x: int) -> int:
    """The root of x, halving the path to it."""
    while parent[x] != x:
        parent[x] = parent[parent[x]]
        x = parent[x]
    return x


@njit(inline="always")
def union(parent: Any, a: int, b: int) -> None:
    """Join the components of a and b; the smaller root stays one."""
    a = find(parent, a)
    b = find(parent, b)
    if a < b:
        parent[b] = a
    elif b < a:
        parent[a] = b


@njit(nogil=True, cache=True)
def join(parent: Any, a: Any, b: Any) -> None:
    """Enter edges a[i] - b[i] (int64) into a forest, int64 [n]; at first, each node is its own parent."""
    for i in range(len(a)):
        union(parent, a[i], b[i])


@njit(nogil=True, cache=True)
def roots(parent: Any) -> Any:
    """int64 [n]: the smallest node of each node's component.

    >>> import numpy as np
    >>> parent = np.arange(5)
    >>> join(parent, np.array([3, 1]), np.array([4, 4]))
    >>> roots(parent).tolist()
    [0, 1, 2, 1, 1]
    """
    for x in range(len(parent)):
        parent[x] = find(parent, x)
    return parent
