"""Which groups a step of the recipe drops more often than others: its disparate effect.

Documents of the sources are looked up among those that the run dropped. For each step and reason, of the
documents that came to the step:

    rate of those that mention a group, and rate of those that do not; their ratio with its interval; p of Fisher's exact test

p is made larger for all tests of the table (Holm), so that a table without any true difference has a false alarm with a chance of
at most 5 %. Source: that filters drop dialects and groups more often: Dodge et al. 2021 (arXiv 2104.08758), section 5.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from corpusmill.transforms.embed.sampling import drawn
from corpusmill.transforms.people.lexicon import Lexicon
from corpusmill.transforms.people.mentions import flags, languages_of
from corpusmill.transforms.people.rates import LEVEL, fisher, holm, ratio

LEAST = 10
"""Documents of a group that must come to a step for a test."""


@dataclass(frozen=True)
class Disparity:
    """A step and reason, and a group: documents of the group and of the rest that came to the step, and how many of them it
    dropped; the ratio of both rates with its 95 % interval; p by Holm; flagged: p < 0.05, and the group loses more."""

    step: str
    reason: str
    group: str
    dropped: int
    came: int
    dropped_rest: int
    came_rest: int
    ratio: float
    low: float
    high: float
    p: float
    flagged: bool


@dataclass
class Table:
    """Counts of documents by what happened to them: fates int64 [n] (an index of `kinds`, or len(kinds) if kept), and groups."""

    kinds: list[tuple[str, str]]
    fates: np.ndarray
    groups: dict[str, np.ndarray]


def judged(table: Table, order: Sequence[str]) -> list[Disparity]:
    """The tests of a table. order: names of the steps, as documents come to them."""
    place = {name: i for i, name in enumerate(order)}
    step_of = np.array([place.get(step, len(order)) for step, _ in table.kinds] + [len(order) + 1], np.int64)
    reached = step_of[table.fates]
    found = []
    for number, (step, reason) in enumerate(table.kinds):
        came, gone = reached >= step_of[number], table.fates == number
        for group, mask in table.groups.items():
            n, m = int((came & mask).sum()), int((came & ~mask).sum())
            if n < LEAST or m < LEAST:
                continue
            a, c = int((gone & mask).sum()), int((gone & ~mask).sum())
            found.append((step, reason, group, a, n, c, m))
    values = holm([fisher(a, n - a, c, m - c) for *_, a, n, c, m in found])
    made = []
    for (step, reason, group, a, n, c, m), p in zip(found, values, strict=True):
        value, low, high = ratio(a, n, c, m)
        made.append(Disparity(step, reason, group, a, n, c, m, value, low, high, p, p < LEVEL and value > 1))
    return sorted(made, key=lambda d: (d.p, -d.ratio, d.step, d.reason, d.group))


def fates(
    dropped: Iterable[pa.RecordBatch],
    sources: Iterable[pa.RecordBatch],
    lexicons: Sequence[Lexicon],
    private: AbstractSet[str],
    bound: int,
) -> tuple[Table, int]:
    """(what happened to the documents of the sources, how many dropped ones are not there any more).

    Args:
        dropped: the table of dropped documents: id, source, step, reason, parent.
        sources: documents as they were read.
        lexicons: one a language.
        private: names of sources that are left out.
        bound: of `drawn`: which ids are looked at.
    """
    kinds: dict[tuple[str, str], int] = {}
    fate: dict[str, list[int]] = {}  # equal documents may have one id: as many are dropped as the table says
    for batch in dropped:
        if not batch.num_rows:
            continue
        chosen = batch.filter(pa.array(drawn(batch.column("id").fill_null(""), bound)))
        for row in chosen.select(["id", "source", "step", "reason", "parent"]).to_pylist():
            if row["id"] and row["source"] not in private and row["parent"] is None:
                fate.setdefault(row["id"], []).append(kinds.setdefault((row["step"], row["reason"]), len(kinds)))
    found: list[int] = []
    parts: dict[str, list[np.ndarray]] = {}
    for batch in sources:
        if private:
            batch = batch.filter(
                pa.array([s not in private for s in batch.column("source").cast(pa.string()).to_pylist()])
            )
        chosen = batch.filter(pa.array(drawn(batch.column("id"), bound)))
        if not chosen.num_rows:
            continue
        found += [fate[i].pop() if fate.get(i) else -1 for i in chosen.column("id").to_pylist()]
        for group, mask in flags(chosen.column("text"), languages_of(chosen), lexicons).items():
            parts.setdefault(group, []).append(mask)
    at = np.array(found, np.int64)
    at[at < 0] = len(kinds)
    groups = {group: np.concatenate(masks) for group, masks in parts.items()}
    return Table(list(kinds), at, groups), sum(map(len, fate.values()))
