"""How diverse a sample of texts is: figures with their definitions and errors.

Each figure that depends on the size of a sample is taken of PARTS parts of equal size; its value is their mean and its error the
standard error of that mean.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

PARTS = 5
WORDS = 20_000
"""Words of a part for distinct n-grams."""
VENDI = 300
"""Documents of a part for the Vendi score."""
COMPRESSED = 200_000
"""Bytes of a part for the compression ratio."""
FIGURES = {
    "distinct_1": "distinct-1",
    "distinct_2": "distinct-2",
    "distinct_3": "distinct-3",
    "vendi": "Vendi score",
    "entropy": "entropy of clusters",
    "biggest": "share of the biggest cluster",
    "compression": "compression ratio",
}
"""The key of each figure in `expect.diversity`, and its name."""
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Figure:
    """A figure: its name, value, standard error (nan where there is too little text for one), and definition."""

    name: str
    value: float
    error: float
    definition: str


def figures(texts: Sequence[str], vectors: np.ndarray, which: np.ndarray, clusters: int) -> list[Figure]:
    """All figures of a sample.

    Args:
        texts: the documents, in an order that follows from their ids.
        vectors: int8 [n, d].
        which: int [n], the cluster of each document, below 0 for none.
        clusters: how many there are.
    """
    found = [_distinct(texts, n) for n in (1, 2, 3)]
    found.append(_vendi(vectors))
    found += _clusters(which[which >= 0], clusters)
    found.append(_compression(texts))
    return found


def _figure(name: str, parts: list[float], definition: str) -> Figure:
    values = np.array(parts)
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
    return Figure(name, float(values.mean()) if len(values) else float("nan"), error, definition)


def _distinct(texts: Sequence[str], n: int) -> Figure:
    words: list[str] = []
    for text in texts:
        words += _WORD.findall(text.lower())
        if len(words) >= PARTS * WORDS:
            break
    size = min(WORDS, len(words) // PARTS)
    parts = []
    for part in range(PARTS if size > n else 0):
        mine = words[part * size : (part + 1) * size]
        grams = {tuple(mine[i : i + n]) for i in range(len(mine) - n + 1)}
        parts.append(len(grams) / (len(mine) - n + 1))
    what = "words" if n == 1 else f"runs of {n} words"
    definition = f"distinct {what} divided by all, in parts of {size:,} words (Li et al. 2016)"
    return _figure(f"distinct-{n}", parts, definition)


def _vendi(vectors: np.ndarray) -> Figure:
    rows = vectors[vectors.any(axis=1)].astype(np.float64)
    rows /= np.sqrt((rows**2).sum(axis=1, keepdims=True))
    size = min(VENDI, len(rows) // PARTS)
    parts = []
    for part in range(PARTS if size > 1 else 0):
        mine = rows[part * size : (part + 1) * size]
        values = np.linalg.eigvalsh(mine @ mine.T / size)
        values = values[values > 1e-12]
        parts.append(float(np.exp(-(values * np.log(values)).sum())))
    definition = (
        f"how many documents that share nothing would be as diverse as {size:,} of these: exp of the entropy of the eigenvalues "
        "of their cosines (Friedman and Dieng 2023)"
    )
    return _figure("Vendi score", parts, definition)


def _clusters(which: np.ndarray, clusters: int) -> list[Figure]:
    n = max(1, len(which))
    p = np.bincount(which, minlength=max(1, clusters)) / n
    logs = np.log2(np.where(p > 0, p, 1.0))
    entropy = abs(float((p * logs).sum()))  # one cluster has 0, not -0
    spread = float((p * logs**2).sum()) - entropy**2
    largest = float(p.max())
    return [
        Figure(
            "entropy of clusters", entropy, float(np.sqrt(max(spread, 0.0) / n)),
            f"bits that name the cluster of a document; {np.log2(max(1, clusters)):.2f} if all were of one size",
        ),
        Figure(
            "share of the biggest cluster", largest, float(np.sqrt(largest * (1 - largest) / n)),
            "documents of the biggest cluster, divided by all",
        ),
    ]  # fmt: skip


def _compression(texts: Sequence[str]) -> Figure:
    data = b""
    for text in texts:
        data += text.encode() + b"\n"
        if len(data) >= PARTS * COMPRESSED:
            break
    size = min(COMPRESSED, len(data) // PARTS)
    ratio: Callable[[bytes], float] = lambda part: len(part) / len(zlib.compress(part, 6))  # noqa: E731
    parts = [ratio(data[i * size : (i + 1) * size]) for i in range(PARTS)] if size else []
    definition = f"bytes divided by their size behind zlib, in parts of {size:,} bytes: more is more repetitive"
    return _figure("compression ratio", parts, definition)
