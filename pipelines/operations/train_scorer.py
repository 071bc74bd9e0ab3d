"""Trains and measures scorers: text classifiers from labelled files, or from files to be like and files to be unlike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.transforms import storage
from corpusmill.transforms.decontaminate.evaluation import read_items
from corpusmill.transforms.errors import BadFileError, RecipeError
from corpusmill.transforms.select._linear import Scorer, held_out, open_scorer, softmax, train

LIKE, UNLIKE = "like", "unlike"


def labelled(
    like: tuple[str, ...], unlike: tuple[str, ...], labels: tuple[str, ...], text: str, label: str
) -> tuple[pa.Array, list[str]]:
    """(texts, the label of each) of files.

    Args:
        like: files whose documents are labelled `like`.
        unlike: files whose documents are labelled `unlike`.
        labels: files with a column of labels.
        text: column of the text in `labels`; empty for a known name.
        label: column of the label in `labels`.

    Raises:
        BadFileError: a file cannot be read, or lacks a column.
    """
    texts: list[pa.Array] = []
    names: list[str] = []
    for files, name in ((like, LIKE), (unlike, UNLIKE)):
        for path in files:
            (column,) = read_items(path, (text,) if text else ()).texts
            texts.append(column)
            names += [name] * len(column)
    for path in labels:
        column, marks = read_items(path, (text or "text", label)).texts
        if marks.null_count:
            raise BadFileError(
                path, f"{marks.null_count} documents without a `{label}`", "label them, or take them out"
            )
        texts.append(column)
        names += marks.to_pylist()
    return pa.chunked_array(texts, pa.string()).combine_chunks(), names


def train_scorer(
    texts: pa.Array, names: list[str], files: tuple[str, ...], order: int, buckets: int, epochs: int
) -> Scorer:
    """A scorer with its card.

    Raises:
        RecipeError: fewer than two labels, or a label with too few documents.
    """
    labels = tuple(sorted(set(names), key=lambda n: (n != LIKE, n)))
    if len(labels) < 2:
        what = f"all documents have the label `{labels[0]}`" if labels else "there are no documents"
        raise RecipeError(f"{what}; a scorer needs documents of two labels at least")
    number = np.array([labels.index(n) for n in names])
    held = held_out(texts)
    for side, word in ((held, "held-out"), (~held, "training")):
        counts = np.bincount(number[side], minlength=len(labels))
        if not counts.all():
            name = labels[int(np.argmin(counts))]
            raise RecipeError(
                f"the label `{name}` has {int((number == labels.index(name)).sum())} documents, none of them among the "
                f"{word} ones (one in ten is held out, by a hash of its text); give it some dozens"
            )
    scorer = train(texts, number, labels, order, buckets, epochs)
    card = {
        "documents": {n: int((number == k).sum()) for k, n in enumerate(labels)},
        "files": {f: _sha256(f) for f in sorted(files)},
        "ngram": order,
        "buckets": buckets,
        "epochs": epochs,
        "held_out": measured(scorer, texts.filter(pa.array(held)), number[held]),
    }
    return replace(scorer, card=card)


def measured(scorer: Scorer, texts: pa.Array, labels: np.ndarray) -> dict[str, Any]:
    """Accuracy, macro-F1, area under the ROC curve (one label against the rest, averaged) and calibration error."""
    logits = scorer.logits(texts) / scorer.temperature
    shares = softmax(logits)
    guess = shares.argmax(axis=1)
    scores, areas = [], []
    for k in range(len(scorer.labels)):
        hits = int(((guess == k) & (labels == k)).sum())
        scores.append(2 * hits / max(int((guess == k).sum() + (labels == k).sum()), 1))
        if 0 < (labels == k).sum() < len(labels):
            others = np.delete(logits, k, axis=1)
            # log odds: the probability itself is 1 for many
            areas.append(area_under_curve(logits[:, k] - np.logaddexp.reduce(others, axis=1), labels == k))
    return {
        "documents": len(labels),
        "accuracy": round(float((guess == labels).mean()), 4) if len(labels) else None,
        "macro_f1": round(float(np.mean(scores)), 4),
        "auc": round(float(np.mean(areas)), 4) if areas else None,
        "calibration_error": round(_calibration_error(shares, labels), 4),
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


def _calibration_error(shares: np.ndarray, labels: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error (Guo et al. 2017) of the most probable label."""
    confidence = shares.max(axis=1)
    right = shares.argmax(axis=1) == labels
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(right[which == b].mean() - confidence[which == b].mean()) * (which == b).mean() for b in set(which)]
    return float(sum(gaps))


def evaluate(path: str, texts: pa.Array, names: list[str]) -> dict[str, Any]:
    """Figures of a scorer on labelled documents.

    Raises:
        RecipeError: the documents have a label that the scorer does not know.
    """
    scorer = open_scorer(path)
    unknown = sorted(set(names) - set(scorer.labels))
    if unknown:
        raise RecipeError(f"{path}: has no label `{unknown[0]}`; its labels are {', '.join(scorer.labels[:20])}")
    return measured(scorer, texts, np.array([scorer.labels.index(n) for n in names], np.int64))


def _sha256(path: str) -> str:
    return storage.sha256_of(path)
