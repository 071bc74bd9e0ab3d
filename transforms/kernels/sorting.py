"""Sorting inside kernels, in place. numba's own sort keeps a list, which an object file cannot hold."""

from __future__ import annotations

from typing import Any

from corpusmill.transforms.kernels.njit import njit


@njit(nogil=True, cache=True)
def heapsort(values: Any, carried: Any, n: int) -> None:
    """Sort values[:n], rising, and bring carried[:n] into the same order. The order of equal values is not kept.

    (Heapsort, Williams 1964: n log n steps for any input, and no further memory.)
    """
    start, end = n // 2, n
    while end > 1:
        if start > 0:
            start -= 1
        else:
            end -= 1
            values[0], values[end] = values[end], values[0]
            carried[0], carried[end] = carried[end], carried[0]
        root = start
        while 2 * root + 1 < end:
            child = 2 * root + 1
            if child + 1 < end and values[child] < values[child + 1]:
                child += 1
            if values[root] >= values[child]:
                break
            values[root], values[child] = values[child], values[root]
            carried[root], carried[child] = carried[child], carried[root]
            root = child
