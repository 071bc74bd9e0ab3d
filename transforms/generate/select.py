"""Which pseudo-labels are trained on, and whether the student is kept: by rank within each class, and by held-out labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def balanced(classes: np.ndarray, confidence: np.ndarray, order: np.ndarray, share: float, number: int) -> np.ndarray:
    """The most confident rows of each class, equally many of each: int64 row numbers in rising order.

    n rows of `number` classes give at most ceil(share * n / number) of each class (Zou et al. 2018, class-balanced
    self-training, there with equal shares of each class instead). order: uint64 [n], which breaks ties. A teacher that prefers
    some classes thereby cannot teach its preference; confidence need not be calibrated, for it only ranks.

    >>> balanced(np.array([0, 0, 0, 1]), np.array([0.9, 0.8, 0.7, 0.3]), np.arange(4, dtype=np.uint64), 0.5, 2).tolist()
    [0, 3]
    """
    limit = int(np.ceil(share * len(classes) / max(1, number)))
    return np.flatnonzero(class_ranks(classes, confidence, order) < limit)


def class_ranks(classes: np.ndarray, confidence: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Place of each row within its class, the most confident first: int64 [n]."""
    ranked = np.lexsort((order, -confidence, classes))
    sorted_classes = classes[ranked]
    begins = np.flatnonzero(np.append(True, sorted_classes[1:] != sorted_classes[:-1])) if len(ranked) else ranked
    sizes = np.diff(np.append(begins, len(ranked)))
    out = np.empty(len(ranked), np.int64)
    out[ranked] = np.arange(len(ranked)) - np.repeat(begins, sizes)
    return out


@dataclass(frozen=True)
class Verdict:
    """A student against its teacher on the same held-out labels: accuracies, mean paired difference, its standard error."""

    before: float
    after: float
    difference: float
    error: float
    kept: bool
    because: str


def gate(before: np.ndarray, after: np.ndarray, min_gain: float = 0.0, min_errors: float = 1.0) -> Verdict:
    """Whether the student is kept: it must gain more than `min_gain`, and at least `min_errors` standard errors.

    before, after: bool [n], right or wrong on the same held-out documents; the difference is taken document by document, so
    that what both find hard cancels out.
    """
    d = after.astype(np.float64) - before.astype(np.float64)
    n = max(1, len(d))
    gain, error = float(d.sum() / n), float(d.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0
    was, now = float(before.sum() / n), float(after.sum() / n)
    shown = f"held-out accuracy {was:.4f} -> {now:.4f}, difference {gain:+.4f}, standard error {error:.4f}"
    if gain <= min_gain:
        return Verdict(was, now, gain, error, False, f"{shown}: no gain above {min_gain:g}")
    if gain < min_errors * error:
        return Verdict(was, now, gain, error, False, f"{shown}: less than {min_errors:g} standard errors")
    return Verdict(was, now, gain, error, True, shown)
