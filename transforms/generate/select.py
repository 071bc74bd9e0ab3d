"""Selects pseudo-labels to train on, the shares of their classes, and whether to keep the student."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SWEEPS, SINKHORN = 200, 20


def balanced(
    classes: np.ndarray,
    confidence: np.ndarray,
    order: np.ndarray,
    share: float,
    number: int,
    shares: np.ndarray | None = None,
) -> np.ndarray:
    """The most confident rows of each class, equally many of each: int64 row numbers in rising order.

    n rows of `number` classes give at most ceil(share * n / number) of each class (Zou et al. 2018, class-balanced
    self-training, there with equal shares of each class instead), or of class k ceil(share * n * shares[k]) where its share of
    all documents is known better. order: uint64 [n], which breaks ties. A teacher that prefers some classes thereby cannot
    teach its preference; confidence need not be calibrated, for it only ranks.

    >>> balanced(np.array([0, 0, 0, 1]), np.array([0.9, 0.8, 0.7, 0.3]), np.arange(4, dtype=np.uint64), 0.5, 2).tolist()
    [0, 3]
    """
    known = np.full(number, 1.0 / max(1, number)) if shares is None else shares
    limits = np.ceil(share * len(classes) * known - 1e-9).astype(np.int64)
    return np.flatnonzero(class_ranks(classes, confidence, order) < limits[classes])


def class_ranks(classes: np.ndarray, confidence: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Place of each row within its class, the most confident first: int64 [n]."""
    ranked = np.lexsort((order, -confidence, classes))
    sorted_classes = classes[ranked]
    begins = np.flatnonzero(np.append(True, sorted_classes[1:] != sorted_classes[:-1])) if len(ranked) else ranked
    sizes = np.diff(np.append(begins, len(ranked)))
    out = np.empty(len(ranked), np.int64)
    out[ranked] = np.arange(len(ranked)) - np.repeat(begins, sizes)
    return out


def class_shares(p: np.ndarray, evenness: float) -> np.ndarray:
    """Shares of the classes among documents of which a teacher, calibrated on equally many of each class, says p: float64 [K].

    The most likely shares by expectation maximisation (Saerens et al. 2002), with `evenness` times as many documents in equal
    shares added to the counts: s_k = (sum_x p_k s_k / sum_j p_j s_j + evenness n / K) / (n (1 + evenness)).

    >>> p = np.array([[0.9, 0.1]] * 8 + [[0.1, 0.9]] * 2)
    >>> class_shares(p, 0.001).round(1).tolist(), class_shares(p, 1.0).round(2).tolist()
    ([0.9, 0.1], [0.64, 0.36])
    """
    n, k = p.shape
    shares = np.full(k, 1.0 / k)
    for _ in range(SWEEPS if n else 0):
        weighted = p * shares
        counts = (weighted / weighted.sum(axis=1, keepdims=True)).sum(axis=0)
        shares = (counts + evenness * n / k) / (n * (1.0 + evenness))
    return shares


def brought_to(p: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """p with a factor for each class, so that on average over the documents it is `shares`: float64 [n, K], rows of sum 1
    (Sinkhorn and Knopp 1967)."""
    out = p.copy()
    for _ in range(SINKHORN if len(p) else 0):
        out *= shares / np.maximum(out.mean(axis=0), 1e-12)
        out /= out.sum(axis=1, keepdims=True)
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
