"""Lower triangular Toeplitz matrices C, of which the first column says everything: sensitivity and error of a strategy.

A step's noise is a row of C^-1 Z, with Z independent normal draws. So what is released is C^-1 (C G + Z) for the sums G of
clipped gradients: the Gaussian mechanism on C G, and post-processing (Denisov et al. 2022). Its sensitivity is that of C G, which
depends on the steps that one unit joins. Here a unit joins steps that lie a multiple of `separation` apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def inverse(column: np.ndarray, count: int) -> np.ndarray:
    """First column of C^-1: float64 [count].

    >>> inverse(np.array([1.0, 0.5]), 4).tolist()
    [1.0, -0.5, 0.25, -0.125]
    """
    from scipy.signal import lfilter  # type: ignore[import-untyped]

    impulse = np.zeros(count)
    impulse[0] = 1.0
    return np.asarray(lfilter([1.0], column[:count], impulse))


def joined(column: np.ndarray, count: int, separation: int) -> np.ndarray:
    """Sum of the columns of C that a unit joins which is there at step 0 and every `separation` steps: float64 [count]."""
    padded = np.zeros(-(-count // separation) * separation)
    padded[: min(count, len(column))] = column[:count]
    return padded.reshape(-1, separation).cumsum(axis=0).ravel()[:count]


def sensitivity(column: np.ndarray, count: int, separation: int) -> float:
    """The most that one unit of norm 1 moves C G in `count` steps, for entries of C that are not negative.

    The unit that begins at step 0 moves most: what others move is a part of that. Vectors that all point the same way move most, as
    all products of columns are at least 0 (Choquette-Choo et al. 2023, "(Amplified) banded matrix factorization", corollary 2).

    >>> round(sensitivity(np.array([1.0]), 9, 3) ** 2)
    3
    """
    return float(np.linalg.norm(joined(column, count, separation)))


def error(column: np.ndarray, count: int) -> float:
    """Root of the mean squared error of the prefix sums of `count` steps, for Z of deviation 1.

    >>> round(error(np.array([1.0]), 3) ** 2, 6)
    2.0
    """
    sums = inverse(column, count).cumsum()
    return float(np.sqrt((sums**2 * _weights(count)).sum()))


def _weights(count: int) -> np.ndarray:
    """How often entry s of the first column of A C^-1 stands in that matrix, over its rows."""
    return np.arange(count, 0, -1) / count


def error_and_slope(column: np.ndarray, count: int) -> tuple[float, np.ndarray]:
    """(mean squared error of the prefix sums, its derivative by each entry of `column`): column [n], n <= count.

    The sums have the generating function g = 1 / ((1 - x) c), so dg = -(g / c) dc.
    """
    d = inverse(column, count)
    g = d.cumsum()
    weighted = _weights(count) * g
    h = _product(g, d)
    # sum over s of 2 w_s g_s * -h_(s - i)
    slope = -2 * _product(weighted[::-1], h)[::-1][: len(column)]
    return float((weighted * g).sum()), slope


def sensitivity_and_slope(column: np.ndarray, count: int, separation: int) -> tuple[float, np.ndarray]:
    """(squared sensitivity, its derivative by each entry of `column`)."""
    v = joined(column, count, separation)
    padded = np.zeros(-(-count // separation) * separation)
    padded[:count] = v
    later = padded.reshape(-1, separation)[::-1].cumsum(axis=0)[::-1].ravel()
    return float(v @ v), 2 * later[: len(column)]


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The first entries of the product of two power series, by FFT."""
    n = len(a)
    size = 1 << (2 * n - 1).bit_length()
    return np.asarray(np.fft.irfft(np.fft.rfft(a, size) * np.fft.rfft(b, size), size)[:n])


def buffered(buffers: Sequence[tuple[float, float]], count: int) -> np.ndarray:
    """First column of the matrix of a few decaying buffers: 1, then sum of scale * decay^(i - 1). buffers: (scale, decay)."""
    powers = np.arange(count - 1)
    out = np.ones(count)
    out[1:] = sum((scale * decay**powers for scale, decay in buffers), np.zeros(count - 1))
    return out
