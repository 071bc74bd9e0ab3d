"""Connected components by union-find: near-linear time, no recursion, a forest that is its own mergeable state.

Path halving and union by smallest number (Tarjan and van Leeuwen 1984): every root is the smallest number of its
component, so the result does not depend on the order of the edges.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


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
def components(n: int, a: Any, b: Any) -> Any:
    """int64 [n]: the smallest node of each node's component, in the graph with edges a[i] - b[i] (int64).

    >>> components(5, np.array([3, 1]), np.array([4, 4])).tolist()
    [0, 1, 2, 1, 1]
    """
    parent = np.arange(n)
    for i in range(len(a)):
        union(parent, a[i], b[i])
    for x in range(n):
        parent[x] = find(parent, x)
    return parent
