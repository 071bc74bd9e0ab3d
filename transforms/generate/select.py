"""Selects pseudo-labels to train on, the shares of their classes, and whether to keep the student."""

from __future__ import annotations

import math
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
    """The best of several students against the first teacher on the same held-out labels.

    place: of the student among those compared, -1 for none. error: standard error of the paired difference. p_value: chance that
    the best of as many students would gain as much if none were better than the teacher. harm: chance that the student is
    worse, from the documents on which the two differ.
    """

    place: int
    before: float
    after: float
    difference: float
    error: float
    p_value: float
    harm: float
    kept: bool
    because: str


PERMUTATIONS = 9_999


def decide(before: np.ndarray, after: np.ndarray, level: float = 0.2, min_gain: float = 0.0, seed: int = 1) -> Verdict:
    """Whether the best student takes the teacher's place. It is asked once, over all students together.

    To ask one student after the other at one standard error would keep many that are no better: a chance that is offered six times
    comes. Here the largest gain is compared with the largest gains after the signs of the differences of each document are drawn at
    random, the same for all students (Westfall and Young 1993), so that the chance of a wrong keep stays below `level` however many
    students there are.

    Args:
        before: bool [n], whether the teacher is right on each held-out document.
        after: bool [students, n], the same for each student.
        level: largest chance of keeping a student where none is better.
        min_gain: least gain of held-out accuracy.
        seed: of the drawn signs.
    """
    d = after.astype(np.float64) - before.astype(np.float64)
    n = max(1, len(before))
    was = float(before.sum() / n)
    if not len(d):
        return Verdict(-1, was, was, 0.0, 0.0, 1.0, 0.5, False, "there is no student")
    place = int(d.sum(axis=1).argmax())
    best = d[place]
    gain, error = float(best.sum() / n), float(best.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0
    signs = np.random.Generator(np.random.PCG64(seed)).integers(0, 2, (PERMUTATIONS, len(before)), np.int8) * 2 - 1
    largest = (signs.astype(np.float32) @ d.T.astype(np.float32)).max(axis=1)
    p_value = float((1 + (largest >= best.sum() - 0.5).sum()) / (1 + PERMUTATIONS))
    harm = float(_below_half(int((best > 0).sum()), int((best < 0).sum())))
    now = was + gain
    shown = (
        f"held-out accuracy {was:.4f} -> {now:.4f}, difference {gain:+.4f}, p {p_value:.3f} over {len(d)} students, chance of "
        f"harm {harm:.3f}"
    )
    if gain <= min_gain:
        return Verdict(place, was, now, gain, error, p_value, harm, False, f"{shown}: no gain above {min_gain:g}")
    if p_value > level:
        return Verdict(place, was, now, gain, error, p_value, harm, False, f"{shown}: not below the level {level:g}")
    return Verdict(place, was, now, gain, error, p_value, harm, True, shown)


def _below_half(better: int, worse: int) -> float:
    """P(x < 1/2) for x of Beta(better + 1, worse + 1): the share of documents on which the student is the right one of the two."""
    total = better + worse + 1
    return sum(math.comb(total, k) for k in range(better + 1, total + 1)) / 2**total
