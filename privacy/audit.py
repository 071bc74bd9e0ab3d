"""What an attacker can tell: lower bounds on epsilon, and how well members are told from others.

Canaries are rows that are put into training by a coin each. After one training run each has a score, higher where the model
has seen it. If guessing from the scores succeeds more often than epsilon allows, the claim of epsilon is false:

    one run    v of r guesses right among m canaries have probability at most
               p = P[B >= v] + 2 m delta max_i P[v > B >= v - i] / i,  B ~ Bin(r, e^eps / (1 + e^eps))
               (Steinke, Nasr and Jagielski 2023, "Privacy auditing with one (1) training run")
    f-DP       the same guesses against the whole trade-off curve of the Gaussian mechanism of that (epsilon, delta)
               (Mahloujifar, Melis and Chaudhuri 2024, "Auditing f-differential privacy in one run"): a tighter bound for
               mechanisms that are Gaussian, valid for those only

A bound above the claim proves a mistake. A bound below it proves nothing: an audit is necessary and never sufficient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from corpusmill.transforms.errors import MissingDependencyError, PrivacyError

GRID = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5)
"""Shares of the canaries that are guessed, fixed before any score is seen: the significance is split evenly over them."""
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Audit:
    """The result of an audit of m canaries."""

    canaries: int
    epsilon: float
    """Lower bound by the one-run audit, at the confidence asked for."""
    epsilon_gaussian: float
    """Lower bound if the mechanism is Gaussian (f-DP)."""
    auc: float
    """Probability that a member scores higher than another canary."""
    tpr_at_1_percent: float
    """Share of members found where 1 % of the others are taken for members."""
    delta: float
    confidence: float


def audit(members: np.ndarray, others: np.ndarray, delta: float, confidence: float = 0.95) -> Audit:
    """Audit one run from the scores of canaries that were in training and of those that were not.

    Raises PrivacyError where there are too few canaries, or scores that are no numbers.
    """
    members, others = _scores(members), _scores(others)
    return Audit(
        len(members) + len(others),
        one_run(members, others, delta, 1 - confidence),
        one_run(members, others, delta, 1 - confidence, gaussian=True),
        auc(members, others),
        tpr_at(members, others, 0.01),
        delta,
        confidence,
    )


def _scores(values: np.ndarray | Sequence[float]) -> np.ndarray:
    scores = np.asarray(values, np.float64)
    if len(scores) < 2 or not np.isfinite(scores).all():
        raise PrivacyError("an audit needs at least 2 members and 2 others, and a number as the score of each.")
    return scores


def p_value(m: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """The most probable that `right` of `guesses` are right if (epsilon, delta) holds: formula above."""
    from scipy.stats import binom  # type: ignore[import-untyped]

    q = 1 / (1 + math.exp(-epsilon))
    tail = float(binom.sf(right - 1, guesses, q))
    if delta == 0 or right == 0:
        return tail
    i = np.arange(1, right + 1)
    between = binom.sf(right - i - 1, guesses, q) - tail
    return min(1.0, tail + 2 * m * delta * max(0.0, float((between / i).max())))


def bound(m: int, guesses: int, right: int, delta: float, significance: float, above: float = 0.0) -> float:
    """The largest epsilon, if above `above`, that `right` of `guesses` right refute; else `above`.

    >>> round(bound(1000, 100, 95, 1e-5, 0.05), 3)
    2.165
    """
    if p_value(m, guesses, right, above, 0.0) > significance:
        return above
    return _largest(lambda e: p_value(m, guesses, right, e, delta) < significance, above)


def bound_gaussian(m: int, guesses: int, right: int, delta: float, significance: float, above: float = 0.0) -> float:
    """As `bound`, against the trade-off curve of the Gaussian mechanism that is (epsilon, delta)-differentially private.

    Mahloujifar et al. 2024, algorithm 3: r and h bound the mass of outcomes with more and with fewer right guesses; where even
    the least possible masses do not fit into guesses / m, the outcome is too good for the curve.
    """
    try:
        from dp_accounting import get_sigma_gaussian
    except ImportError as error:
        raise MissingDependencyError(f"the audit needs {error.name}: pip install corpusmill[privacy]") from error

    def refuted(epsilon: float) -> bool:
        shift = 1 / get_sigma_gaussian(epsilon, delta) if epsilon or delta else 0.0
        r, h = significance * right / m, significance * (guesses - right) / m
        for i in range(right - 1, -1, -1):
            least = 0.0 if r <= 0 else 1.0 if r >= 1 else _NORMAL.cdf(_NORMAL.inv_cdf(r) - shift)
            if least <= h:
                break
            r, h = min(1.0, r + i / (guesses - i) * (least - h)), least
        return r + h > guesses / m

    return _largest(refuted, above)


def _largest(refuted: Callable[[float], bool], low: float) -> float:
    """The largest claim that is still refuted, from `low` up, to 1e-7; `low` if it is not refuted there."""
    if not refuted(low):
        return low
    high = max(1.0, 2 * low)
    while refuted(high):
        low, high = high, 2 * high
        if high > 512:
            return low
    while high - low > 1e-7:
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low


def one_run(
    members: np.ndarray,
    others: np.ndarray,
    delta: float,
    significance: float = 0.05,
    gaussian: bool = False,
    thresholds: Literal["grid", "hull"] = "grid",
) -> float:
    """The lower bound on epsilon from one run's scores.

    thresholds: `grid` guesses the highest scores to be members, and the lowest not to be, for each share of `GRID`; `hull`
    guesses members only, at each threshold on the convex hull of the ROC curve. Either splits the significance evenly.
    """
    members, others = _scores(members), _scores(others)
    m = len(members) + len(others)
    tries = list(_grid(members, others) if thresholds == "grid" else _hull(members, others))
    one = bound_gaussian if gaussian else bound
    best = 0.0
    for guesses, right in sorted(tries, key=lambda t: -t[1] / t[0] + 1 / t[0]):  # the most promising first
        if right / guesses > 1 / (1 + math.exp(-best)):
            best = max(best, one(m, guesses, right, delta, significance / len(tries), best))
    return best


def _grid(members: np.ndarray, others: np.ndarray) -> Iterator[tuple[int, int]]:
    scores = np.concatenate([members, others])
    is_member = np.arange(len(scores)) < len(members)
    # equal scores are no evidence: the members among them come last on either side
    down = is_member[np.lexsort((is_member, -scores))]
    up = is_member[np.lexsort((~is_member, scores))]
    for share in GRID:
        k = max(1, int(share * len(scores)))
        yield 2 * k, int(down[:k].sum() + (~up[:k]).sum())


def _hull(members: np.ndarray, others: np.ndarray) -> Iterator[tuple[int, int]]:
    cuts = np.append(np.union1d(members, others), np.inf)
    x, y = np.searchsorted(np.sort(members), cuts), np.searchsorted(np.sort(others), cuts)
    corners: list[tuple[int, int]] = []
    for p in zip(x.tolist(), y.tolist()):
        while len(corners) > 1 and _turn(corners[-2], corners[-1], p) >= 0:
            corners.pop()
        corners.append(p)
    for missed, spared in corners:
        guesses = len(members) - missed + len(others) - spared
        yield max(1, guesses), len(members) - missed


def _turn(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> int:
    return (b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0])


def auc(members: np.ndarray, others: np.ndarray) -> float:
    """Probability that a member's score is above another's, ties counted half.

    >>> auc(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
    0.875
    """
    ranked = np.sort(others)
    below = np.searchsorted(ranked, members, "left") + np.searchsorted(ranked, members, "right")
    return float(below.mean() / (2 * len(others)))


def tpr_at(members: np.ndarray, others: np.ndarray, fpr: float) -> float:
    """Share of members above the threshold that at most the share `fpr` of the others reaches.

    >>> tpr_at(np.arange(100.0) + 50, np.arange(100.0), 0.01)
    0.51
    """
    allowed = math.floor(fpr * len(others) + 1e-9)
    threshold = np.sort(others)[::-1][allowed] if allowed < len(others) else -math.inf
    return float((members > threshold).mean())


def attack(members: np.ndarray, others: np.ndarray) -> dict[str, float]:
    """How well the scores tell members: `auc`, `tpr_at_1_percent`, and the mean `exposure` among those that were never in.

    `exposure_of_others` is that of the others among each other, which is what guessing gives: 1.44 bits for many.
    """
    members, others = _scores(members), _scores(others)
    alone = np.log2((len(others) + 1) / np.arange(1, len(others) + 1)).mean()
    rates = {"auc": auc(members, others), "tpr_at_1_percent": tpr_at(members, others, 0.01)}
    return rates | {"exposure": float(exposure(members, others).mean()), "exposure_of_others": float(alone)}


def exposure(scores: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Exposure of canaries in bits: log2 of candidates over rank (Carlini et al. 2019, section 4.2).

    scores: of the canaries; reference: of candidates that were never trained on; higher is better remembered.

    >>> exposure(np.array([9.0, 0.5]), np.arange(8) / 8).round(2).tolist()
    [3.17, 0.85]
    """
    ranked = np.sort(reference)
    rank = 1 + len(ranked) - np.searchsorted(ranked, scores, "left")
    return np.log2((len(ranked) + 1) / rank)


def min_k(log_probabilities: Sequence[np.ndarray], share: float = 0.2) -> np.ndarray:
    """Mean log-probability of the least likely `share` of each row's tokens (Shi et al. 2024, Min-k %): float64 [n].

    With `share` 1 it is the negative loss. A row without tokens has the lowest score, -inf.

    >>> min_k([np.log([0.5, 0.01, 0.9, 0.02])], 0.5).round(2).tolist()
    [-4.26]
    """
    out = np.full(len(log_probabilities), -math.inf)
    for i, row in enumerate(log_probabilities):
        if len(row):
            k = max(1, round(share * len(row)))
            out[i] = np.sort(np.asarray(row))[:k].mean()
    return out


def two_worlds(with_unit: np.ndarray, without: np.ndarray, delta: float, confidence: float = 0.95) -> float:
    """Lower bound on epsilon from many runs on two data sets that differ in one unit (Nasr et al. 2021).

    with_unit, without: a score of each run's release. The threshold is chosen on the first half of either and tested on the
    second: log((TPR - delta) / FPR) with Clopper-Pearson bounds at (1 - confidence) / 2 each.
    """
    from scipy.stats import beta

    with_unit, without = _scores(with_unit), _scores(without)
    half, rest = len(with_unit) // 2, len(without) // 2
    cuts = np.union1d(with_unit[:half], without[:rest])
    gap = [(with_unit[:half] >= c).mean() - (without[:rest] >= c).mean() for c in cuts]
    cut = cuts[int(np.argmax(gap))]
    a, b = with_unit[half:] >= cut, without[rest:] >= cut
    risk = (1 - confidence) / 2
    tpr = float(beta.ppf(risk, a.sum(), len(a) - a.sum() + 1)) if a.any() else 0.0
    fpr = float(beta.ppf(1 - risk, b.sum() + 1, len(b) - b.sum())) if not b.all() else 1.0
    return max(0.0, math.log((tpr - delta) / fpr)) if tpr > delta else 0.0
