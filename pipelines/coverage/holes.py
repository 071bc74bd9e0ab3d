"""The table of cluster by language, source, length and quality, and its holes.

    expected = documents of the cluster x share of the value in the whole sample

A cell is a hole if at least LEAST documents are expected and no more than PART of them are there, and a cell as empty as that
would be found by chance less than once in a table (Poisson, Bonferroni over the cells). A value of which at least MOST of the
documents lie in one cluster, more than LIFT times as many as expected, is of one topic.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corpusmill.pipelines.coverage.sample import Sample

LEAST, PART = 10, 0.1
MOST, LIFT = 0.5, 3.0
LENGTHS = (200, 1_000, 5_000)
VALUES = 12
"""Values of a column that are shown; the others are one."""
OTHER = "(other)"


@dataclass(frozen=True)
class Dimension:
    """A column of the table: its values, how many documents of each cluster have each (int64 [clusters, values]), and the holes:
    (cluster, value, documents, expected), the emptiest first; the values of one topic: (cluster, value, documents in it, of all).
    """

    name: str
    values: list[str]
    counts: np.ndarray
    holes: list[tuple[int, str, int, float]]
    one_topic: list[tuple[int, str, int, int]]


def dimensions(sample: Sample, which: np.ndarray, clusters: int) -> list[Dimension]:
    """The dimensions of a sample that have more than one value."""
    columns = {
        "language": sample.languages,
        "source": sample.sources,
        "length": [length_class(int(n)) for n in sample.lengths],
        "quality": quality_classes(sample.quality),
    }
    found = []
    for name, values in columns.items():
        dimension = _dimension(name, values, which, clusters)
        if len(dimension.values) > 1:
            found.append(dimension)
    return found


def length_class(length: int) -> str:
    """The class of a text of so many characters.

    >>> length_class(50), length_class(1_000), length_class(9_999)
    ('below 200', '1,000 to 4,999', '5,000 and more')
    """
    if length < LENGTHS[0]:
        return f"below {LENGTHS[0]:,}"
    for low, high in zip(LENGTHS, LENGTHS[1:]):
        if length < high:
            return f"{low:,} to {high - 1:,}"
    return f"{LENGTHS[-1]:,} and more"


def quality_classes(quality: np.ndarray) -> list[str]:
    """The third of the sample that each quality lies in."""
    known = quality[~np.isnan(quality)]
    if not len(known):
        return ["unknown"] * len(quality)
    low, high = np.quantile(known, [1 / 3, 2 / 3])
    names = np.array(["lowest third", "middle third", "highest third"])[
        (quality >= low).astype(int) + (quality >= high)
    ]
    found: list[str] = np.where(np.isnan(quality), "unknown", names).tolist()
    return found


def _dimension(name: str, column: Sequence[str], which: np.ndarray, clusters: int) -> Dimension:
    totals = Counter(column)
    listed = [v for v, _ in sorted(totals.items(), key=lambda item: (-item[1], item[0]))[:VALUES]]
    values = listed + ([OTHER] if len(totals) > len(listed) else [])
    place = {v: i for i, v in enumerate(listed)}
    at = np.array([place.get(v, len(listed)) for v in column], np.int64)
    counts = np.zeros((clusters, len(values)), np.int64)
    used = which >= 0
    np.add.at(counts, (which[used], at[used]), 1)
    shares = counts.sum(axis=0) / max(1, counts.sum())
    expected = counts.sum(axis=1)[:, None] * shares[None, :]
    level = 0.05 / max(1, counts.size)
    holes = [
        (int(c), values[v], int(counts[c, v]), float(expected[c, v]))
        for c, v in np.argwhere((expected >= LEAST) & (counts <= PART * expected))
        if values[v] != OTHER and poisson_at_most(int(counts[c, v]), float(expected[c, v])) < level
    ]
    totals_of = counts.sum(axis=0)
    one = [
        (int(c), values[v], int(counts[c, v]), int(totals_of[v]))
        for v in np.flatnonzero(totals_of >= LEAST).tolist()
        for c in [int(counts[:, v].argmax())]
        if counts[c, v] >= MOST * totals_of[v] and counts[c, v] > LIFT * expected[c, v]
    ]
    return Dimension(name, values, counts, sorted(holes, key=lambda h: (h[2] - h[3], h[0], h[1])), one)


def poisson_at_most(count: int, mean: float) -> float:
    """The chance that a Poisson variable of a mean is at most `count`.

    >>> round(poisson_at_most(0, 10.0), 6)
    4.5e-05
    """
    term = total = math.exp(-mean)
    for k in range(1, count + 1):
        term *= mean / k
        total += term
    return min(1.0, total)
