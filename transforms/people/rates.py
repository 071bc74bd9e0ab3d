"""Rates with intervals, and tests of whether two of them differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from statistics import NormalDist

import numpy as np

LEVEL = 0.05
"""The chance of any false alarm in a table of tests."""


def wilson(hits: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """The interval of a rate at confidence 1 - level (Wilson 1927).

    >>> low, high = wilson(5, 50)
    >>> round(low, 3), round(high, 3)
    (0.043, 0.214)
    """
    if not n:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(1 - level / 2)
    p, square = hits / n, z * z / n
    middle = (p + square / 2) / (1 + square)
    half = z / (1 + square) * math.sqrt(p * (1 - p) / n + square / (4 * n))
    return max(0.0, middle - half), min(1.0, middle + half)


@cache
def _log_factorials(n: int) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])


def fisher(a: int, b: int, c: int, d: int) -> float:
    """The two-sided p-value of Fisher's exact test of the table [[a, b], [c, d]] (Agresti 2013, section 3.5).

    >>> round(fisher(8, 2, 1, 5), 4)
    0.035
    """
    row, column, n = a + b, a + c, a + b + c + d
    low, high = max(0, row + column - n), min(row, column)
    if low == high:
        return 1.0
    f = _log_factorials(1 << max(4, int(n).bit_length()))
    k = np.arange(low, high + 1)
    fixed = f[row] + f[n - row] + f[column] + f[n - column] - f[n]
    logs = fixed - f[k] - f[row - k] - f[column - k] - f[n - row - column + k]
    chances = np.exp(logs)
    here = chances[a - low]
    return float(min(1.0, chances[chances <= here * (1 + 1e-7)].sum()))


def holm(values: Sequence[float]) -> list[float]:
    """p-values made larger for the number of tests, so that any false alarm among them has the level of one (Holm 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(values)), key=lambda i: values[i])
    out, largest = [1.0] * len(values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - rank) * values[i]))
        out[i] = round(largest, 15)
    return out


def ratio(a: int, n: int, c: int, m: int, level: float = LEVEL) -> tuple[float, float, float]:
    """(a / n) / (c / m) with its interval on the log scale (Katz et al. 1978); a half is added to each count, so that none is 0."""
    p, q = (a + 0.5) / (n + 1), (c + 0.5) / (m + 1)
    error = math.sqrt(max(0.0, 1 / (a + 0.5) - 1 / (n + 1) + 1 / (c + 0.5) - 1 / (m + 1)))
    z = NormalDist().inv_cdf(1 - level / 2)
    return p / q, p / q * math.exp(-z * error), p / q * math.exp(z * error)
