"""The best Toeplitz strategies for prefix sums, which is what SGD adds up: banded ones, and ones of a few buffers.

banded     C has `bands` diagonals and columns of norm 1 at most (McKenna 2024, arXiv 2405.15913). Units whose steps lie at least
           `bands` apart move orthogonal columns, so sampling them by turns amplifies as for independent noise.
buffered   the first column of C is 1, then a sum of `scale * decay^(i - 1)` (McMahan et al. 2024, arXiv 2408.08868): noise needs
           one number a buffer instead of one a band, and a run may be longer than the strategy was made for.

Both minimise the mean squared error of all prefix sums at one sensitivity, by L-BFGS with exact derivatives. Found strategies are
rounded to 12 digits, so that machines agree about them.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from corpusmill.privacy.mechanisms.toeplitz import (
    buffered,
    error_and_slope,
    inverse,
    sensitivity_and_slope,
)
from corpusmill.transforms.errors import PrivacyError

DIGITS = 12
MOST_BUFFERS = 3
_LEAST_GAIN = 0.995
"""A further buffer must bring the error below this share."""


@lru_cache(256)
def banded(count: int, bands: int) -> tuple[float, ...]:
    """The first column of the best strategy of `bands` diagonals for `count` steps: not negative, of norm 1 at most.

    >>> banded(10, 1)
    (1.0,)
    """
    if not 1 <= bands <= count:
        raise PrivacyError(f"{bands} bands do not fit {count} steps: give from 1 to the number of steps.")
    if bands == 1:
        return (1.0,)

    def loss(free: np.ndarray) -> tuple[float, np.ndarray]:
        column = np.concatenate([[1.0], free])
        mean, slope = error_and_slope(column, count)
        square = float(column @ column)
        return np.log(mean) + np.log(square), slope[1:] / mean + 2 * free / square

    # the start is the square root of the sums, 1 / sqrt(1 - x): the best for one participation without bands
    start = np.cumprod(1 - 0.5 / np.arange(1, bands))
    free = _minimised(loss, start, [(0.0, 1.0)] * (bands - 1))
    column = np.concatenate([[1.0], free])
    column = np.floor(column / np.linalg.norm(column) * 10**DIGITS) / 10**DIGITS
    return tuple(column.tolist())


@lru_cache(64)
def buffers(count: int, separation: int) -> tuple[tuple[float, float], ...]:
    """(scale, decay) of each buffer of the best strategy for units that join every `separation` steps of `count`.

    One buffer more is taken while it lowers the error by half a percent, up to three.
    """
    if not 1 <= separation <= count:
        raise PrivacyError(
            f"units cannot join every {separation} steps of {count}: give from 1 to the number of steps."
        )
    best: float = np.inf
    found: tuple[tuple[float, float], ...] = ()
    for number in range(1, MOST_BUFFERS + 1):
        value, these = _buffers(count, separation, number)
        if value > best * _LEAST_GAIN**2:
            break
        best, found = value, these
    return found


def _buffers(count: int, separation: int, number: int) -> tuple[float, tuple[tuple[float, float], ...]]:
    """(mean squared error at sensitivity 1, buffers). Free are logits of scales and of decays."""
    powers = np.arange(count - 1)

    def loss(free: np.ndarray) -> tuple[float, np.ndarray]:
        scales, decays = _squashed(free[:number]), _squashed(free[number:])
        column = buffered(list(zip(scales, decays, strict=True)), count)
        mean, by_error = error_and_slope(column, count)
        square, by_norm = sensitivity_and_slope(column, count, separation)
        slope = by_error / mean + by_norm / square
        falls = decays[:, None] ** powers
        steeper = np.zeros_like(falls)
        steeper[:, 1:] = powers[1:] * falls[:, :-1]
        by_scale, by_decay = falls @ slope[1:], scales * (steeper @ slope[1:])
        chain = np.concatenate([by_scale * scales * (1 - scales), by_decay * decays * (1 - decays)])
        return np.log(mean) + np.log(square), chain

    # decays spread between 0.5 and 1 - 1 / count; scales that fall add up to the first step of 1 / sqrt(1 - x), which is 0.5
    decays = 1 - np.geomspace(0.5, 1 / count, number + 2)[1:-1]
    start = np.concatenate([np.full(number, _logit(0.4 / number)), _logit(decays)])
    free = _minimised(loss, start, [(-12.0, 12.0)] * (2 * number))
    pairs = sorted(zip(_squashed(free[:number]), _squashed(free[number:]), strict=True), key=lambda pair: pair[1])
    found = tuple((round(float(scale), DIGITS), round(float(decay), DIGITS)) for scale, decay in pairs)
    column = buffered(found, count)
    if not np.isfinite(inverse(column, count)).all():
        return np.inf, found
    return error_and_slope(column, count)[0] * sensitivity_and_slope(column, count, separation)[0], found


def _minimised(loss: object, start: np.ndarray, bounds: list[tuple[float, float]]) -> np.ndarray:
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500, "ftol": 1e-12})
    return np.asarray(found.x)


def _squashed(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


def _logit(p: float | np.ndarray) -> np.ndarray:
    return np.log(p) - np.log1p(-np.asarray(p))
