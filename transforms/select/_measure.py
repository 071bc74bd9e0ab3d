"""How good a classifier is on documents that it was not trained on, and whether it was trained on evaluation items."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.transforms.decontaminate.decontaminate import Decontaminate
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.select._linear import log_odds, softmax

BINS = 10
SHOWN = 3


def measured(logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Figures of calibrated logits, float64 [n, labels], against the labels, int64 [n].

    Returns:
        documents, accuracy, macro_f1, auc (area under the ROC curve, one label against the rest, averaged), calibration_error,
        and reliability: for each tenth of the first label's probability that has documents, the mean probability, the share of
        documents that have the label, and their number.
    """
    shares = softmax(logits) if len(labels) else logits
    guess = shares.argmax(axis=1)
    scores, areas = [], []
    for k in range(logits.shape[1]):
        hits = int(((guess == k) & (labels == k)).sum())
        scores.append(2 * hits / max(int((guess == k).sum() + (labels == k).sum()), 1))
        if 0 < (labels == k).sum() < len(labels):
            areas.append(area_under_curve(log_odds(logits, k), labels == k))
    return {
        "documents": len(labels),
        "accuracy": round(float((guess == labels).mean()), 4) if len(labels) else None,
        "macro_f1": round(float(np.mean(scores)), 4),
        "auc": round(float(np.mean(areas)), 4) if areas else None,
        "calibration_error": round(_calibration_error(shares, labels), 4),
        "reliability": reliability(shares[:, 0], labels == 0),
    }


def area_under_curve(scores: np.ndarray, positive: np.ndarray) -> float:
    """The chance that a positive has a higher score than a negative; ties count as one half.

    >>> area_under_curve(np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, False, True, True]))
    0.875
    """
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    n = int(positive.sum())
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * (len(scores) - n)))


def reliability(scores: np.ndarray, positive: np.ndarray) -> list[list[float]]:
    """[mean score, share of positives, documents] of each tenth of the scores that has documents.

    >>> reliability(np.array([0.02, 0.04, 0.95]), np.array([False, True, True]))
    [[0.03, 0.5, 2], [0.95, 1.0, 1]]
    """
    which = np.minimum((scores * BINS).astype(int), BINS - 1)
    rows = [(scores[which == b], positive[which == b]) for b in range(BINS) if (which == b).any()]
    return [[round(float(s.mean()), 4), round(float(p.mean()), 4), len(s)] for s, p in rows]


def _calibration_error(shares: np.ndarray, labels: np.ndarray) -> float:
    """Expected calibration error (Guo et al. 2017) of the most probable label."""
    right = shares.argmax(axis=1) == labels
    bins = reliability(shares.max(axis=1), right)
    return float(sum(abs(share - mean) * n for mean, share, n in bins) / max(len(labels), 1))


def agreement(scores: np.ndarray) -> dict[str, Any]:
    """How well two passes of a judge agree. scores: float64 [n, 2].

    Returns:
        documents, equal (share of equal scores), within_one (share that differs by 1 at most), difference (mean absolute one),
        and kappa, weighted by squares (Cohen 1968): 1 for full agreement, 0 for that of chance; None where one score is all.

    >>> agreement(np.array([[1.0, 1.0], [4.0, 5.0]]))
    {'documents': 2, 'equal': 0.5, 'within_one': 1.0, 'difference': 0.5, 'kappa': 0.9231}
    """
    first, second = scores.T
    gap = np.abs(first - second)
    by_chance = float(((first[:, None] - second[None]) ** 2).mean()) if len(scores) else 0.0
    return {
        "documents": len(scores),
        "equal": round(float((gap == 0).mean()), 4),
        "within_one": round(float((gap <= 1).mean()), 4),
        "difference": round(float(gap.mean()), 4),
        "kappa": round(1 - float((gap**2).mean()) / by_chance, 4) if by_chance else None,
    }


def overlap(texts: pa.Array, names: list[str], evaluation: tuple[str, ...], where: str) -> None:
    """Raise RecipeError if a text shares 13 words in a row with an item of the evaluation sets.

    names: of the texts, for the message; where: what they are, for the message.
    """
    if not evaluation or not len(texts):
        return
    step = Decontaminate(sets={f"set{i}": path for i, path in enumerate(evaluation)}, action="tag")
    batch = pa.record_batch({"id": pa.array(names, pa.string()), "text": texts, "source": ["memory"] * len(texts)})
    found = step.judge(batch, Keyed()).scores
    hits = np.stack([found[f"set{i}"] for i in range(len(evaluation))])
    rows = np.flatnonzero(hits.any(axis=0))
    if len(rows):
        which = evaluation[int(np.flatnonzero(hits[:, rows[0]])[0])]
        shown = ", ".join(names[i] for i in rows[:SHOWN].tolist())
        raise RecipeError(
            f"{where}: {len(rows):,} of {len(texts):,} documents share text with the evaluation set {which}, such as {shown}; "
            "take them out with the step `decontaminate`, for a scorer that has seen the test keeps what resembles it"
        )


def checked(batch: pa.RecordBatch, evaluation: tuple[str, ...], where: str) -> None:
    """`overlap` of documents."""
    overlap(batch.column("text").fill_null(""), batch.column("id").to_pylist(), evaluation, where)
