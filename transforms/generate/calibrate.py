"""Calibrates confidences on held-out labels: temperature scaling, and thresholds for a least precision."""

from __future__ import annotations

import numpy as np

from corpusmill.transforms.errors import RecipeError

_RATIO = (5**0.5 - 1) / 2


def log_softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """log softmax(logits / T), float64 [n, classes]."""
    z = np.asarray(logits, np.float64) / temperature
    z = z - z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature T that minimises -sum log softmax(logits / T)[label] on held-out labels (Guo et al. 2017, section 4.2).

    The loss is convex in 1 / T; the minimum is found by golden section over log T in [1/100, 100]. A classifier that is right
    everywhere would have T = 0: the bound is its answer.

    >>> logits = np.log(np.array([[0.9, 0.1]] * 10))
    >>> round(fit_temperature(logits, np.array([0] * 7 + [1] * 3)), 2)  # says 90 %, is right in 70 %
    2.59

    Raises RecipeError where there are no labels.
    """
    if len(labels) == 0:
        raise RecipeError("calibration needs held-out labels, and there are none")

    def loss(log_t: float) -> float:
        return -float(log_softmax(logits, float(np.exp(log_t)))[np.arange(len(labels)), labels].mean())

    low, high = -np.log(100.0), np.log(100.0)
    a, b = high - _RATIO * (high - low), low + _RATIO * (high - low)
    at_a, at_b = loss(a), loss(b)
    for _ in range(60):
        if at_a <= at_b:
            high, b, at_b = b, a, at_a
            a = high - _RATIO * (high - low)
            at_a = loss(a)
        else:
            low, a, at_a = a, b, at_b
            b = low + _RATIO * (high - low)
            at_b = loss(b)
    return float(np.exp((low + high) / 2))


def predict(logits: np.ndarray, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """(class int64 [n], its probability float64 [n]) at this temperature."""
    if logits.shape[0] == 0:
        return np.zeros(0, np.int64), np.zeros(0)
    logp = log_softmax(logits, temperature)
    chosen = logp.argmax(axis=1)
    return chosen, np.exp(logp[np.arange(len(chosen)), chosen])


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error: sum over bins of n_b / n * |mean confidence - accuracy| (Guo et al. 2017, section 2)."""
    if len(right) == 0:
        return 0.0
    where = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    n = np.bincount(where, minlength=bins)
    gap = np.abs(np.bincount(where, confidence, bins) - np.bincount(where, right.astype(np.float64), bins))
    return float(gap[n > 0].sum() / len(right))


def threshold(confidence: np.ndarray, right: np.ndarray, min_precision: float) -> float:
    """The lowest confidence from which on the held-out labels are right in `min_precision` of the cases; inf if there is none.

    >>> threshold(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, False, True]), 0.75)
    0.6
    >>> threshold(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, False, True]), 0.9)
    0.8
    """
    order = np.argsort(-confidence, kind="stable")
    precision = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    # a threshold takes all rows of equal confidence, or none
    last = np.append(confidence[order][1:] != confidence[order][:-1], True) if len(order) else np.zeros(0, bool)
    good = np.flatnonzero((precision >= min_precision) & last)
    return float(confidence[order][good[-1]]) if len(good) else float("inf")
