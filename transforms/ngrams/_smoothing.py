"""Probabilities from counts: interpolated Kneser-Ney smoothing with three discounts a length.

Source: Chen and Goodman 1998, "An empirical study of smoothing techniques for language modeling", section 3.2 (modified
Kneser-Ney); computed in passes over counts on disk as in Heafield et al. 2013, "Scalable modified Kneser-Ney language model
estimation". The longest n-grams, and those that begin with the beginning of a document, have their counts; shorter ones have the
number of different symbols before them. The probability of a symbol beyond all is uniform, with one place for unknown ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from corpusmill.transforms.hashing import U
from corpusmill.transforms.ngrams._counts import Counts, Spill, hashes
from corpusmill.transforms.ngrams._kernels import BEGIN, PAD, UNKNOWN
from corpusmill.transforms.ngrams._symbols import Units
from corpusmill.transforms.ngrams._table import Head, codes_of, levels_of, slots_for, write

FALLBACK = (0.5, 1.0, 1.5)
"""Discounts where counts are too few to tell them, as those of KenLM's lmplz with `--discount_fallback`."""
_BACK, _P = 1, 0


@dataclass
class _Level:
    """N-grams of one length k of a range. starts: their first rows int64 [g]; counts: adjusted, int64 [g]; of: the group of length
    k of each row; real: bool [g], false for what is shorter than k."""

    starts: np.ndarray
    counts: np.ndarray
    of: np.ndarray
    real: np.ndarray


@dataclass
class _Span:
    """Least and largest value of what was seen."""

    low: float = np.inf
    high: float = -np.inf

    def see(self, values: np.ndarray) -> None:
        if len(values):
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))

    def ends(self) -> tuple[float, float]:
        return (self.low, self.high) if self.low <= self.high else (0.0, 0.0)


@dataclass
class _Entries:
    """Probabilities and back-off weights of n-grams, by hash: rows (hash, 2 * length + kind, bits of the value)."""

    spill: Spill
    spans: dict[tuple[int, int], _Span] = field(default_factory=dict)

    def add(self, hashes: np.ndarray, length: int, kind: int, values: np.ndarray) -> None:
        self.spans.setdefault((length, kind), _Span()).see(values)
        rows = np.column_stack([hashes, np.full(len(hashes), 2 * length + kind, np.uint64), values.view(np.uint64)])
        self.spill.add(rows, (hashes >> U(56)).astype(np.uint8))

    def parts(self, rows: int, levels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(hashes, codes) of all n-grams, in the order of their hashes."""
        for first, last in self.spill.ranges(rows):
            table = self.spill.read(first, last, 3, np.uint64)
            table = table[np.lexsort((table[:, 1], table[:, 0]))]
            h, starts = np.unique(table[:, 0], return_index=True)
            log_p, log_back, length = np.zeros(len(h)), np.zeros(len(h)), (table[starts, 1] >> U(1)).astype(np.int64)
            which = np.searchsorted(h, table[:, 0])
            values, back = table[:, 2].copy().view(np.float64), (table[:, 1] & U(1)).astype(np.bool_)
            log_p[which[~back]], log_back[which[back]] = values[~back], values[back]
            yield h, codes_of(log_p, log_back, length, levels)


def estimate(counts: Counts, path: str, units: Units, tokenizer: str, card: dict[str, Any]) -> dict[str, Any]:
    """Write the model of counts to `path`. card: what is known of its text; returned with figures of the model.

    Raises:
        ValueError: nothing was counted.
    """
    counts.flush()
    if not counts.spill.sizes.sum():
        raise ValueError("there are no words or tokens to learn from")
    order, folder = counts.order, counts.folder
    ranges = counts.ranges()
    asked = Spill(folder, "contexts")
    seen = np.zeros((order + 1, 5), np.int64)
    grams = np.zeros(order + 1, np.int64)
    symbols: list[np.ndarray] = []
    for number, (first, last) in enumerate(ranges):
        rows = counts.read(first, last)
        np.save(folder / f"range-{number}.npy", rows, allow_pickle=False)
        found = _levels(rows)
        for k, level in enumerate(found, 1):
            c = level.counts[level.real]
            if k > 1:
                seen[k] += np.bincount(np.minimum(c, 5), minlength=6)[:5]
                grams[k] += len(c)
        one = found[0]
        symbols.append(np.column_stack([rows[one.starts, -2], one.counts]).astype(np.int64))
        _ask(asked, rows, found, number)
    unigrams, total = _added(np.concatenate(symbols))
    seen[1] = np.bincount(np.minimum(total, 5), minlength=6)[:5]
    discounts = [np.zeros(4), *(_discounts(seen[k]) for k in range(1, order + 1))]
    entries = _Entries(Spill(folder, "entries"))
    floor, p1 = _unigrams(total, discounts[1])
    h1 = next(hashes(np.append(unigrams, [UNKNOWN, BEGIN]).astype(np.uint32)[:, None]))
    # no document is asked how likely its beginning is
    entries.add(h1, 1, _P, np.log(np.concatenate([p1, [floor, 1.0]])))
    grams[1] = len(h1)
    answers = _answer(asked, entries, discounts, counts.range_rows, folder)
    for number in range(len(ranges)):
        rows = np.load(folder / f"range-{number}.npy")
        _interpolate(rows, answers.read(number, number + 1, 3, np.uint64), unigrams, p1, discounts, entries)
    # 0 is the back-off weight of what nothing follows, such as an unknown symbol
    entries.spans.setdefault((1, _BACK), _Span()).see(np.zeros(1))
    spans = [[entries.spans.get((k, kind), _Span()).ends() for kind in (_P, _BACK)] for k in range(1, order + 1)]
    levels = levels_of(order, [(*p, *back) for p, back in spans])
    figures = {"ngrams": grams[1:].tolist(), "discounts": [[round(float(v), 6) for v in d[1:]] for d in discounts[1:]]}
    head = Head(order, units, slots_for(int(grams.sum())), levels, tokenizer, card | figures)
    write(path, head, entries.parts(counts.range_rows, levels))
    return head.card


def _levels(rows: np.ndarray) -> list[_Level]:
    """The n-grams of each length that end the rows, which are sorted by their ends."""
    grams, count = rows[:, :-1], rows[:, -1].astype(np.int64)
    order = grams.shape[1]
    first = np.ones(len(rows), np.bool_)
    flags = []
    same = np.ones(max(len(rows) - 1, 0), np.bool_)
    for k in range(1, order + 1):
        same &= grams[1:, -k] == grams[:-1, -k]
        flag = first.copy()
        flag[1:] = ~same
        flags.append(flag)
    found: list[_Level] = []
    longer = np.zeros(0, np.int64)
    for k in range(order, 0, -1):
        starts = np.flatnonzero(flags[k - 1])
        real = grams[starts, -k] != PAD
        whole = np.add.reduceat(count, starts) if len(starts) else count
        if k < order:
            whole = np.where(grams[starts, -k] == BEGIN, whole, np.add.reduceat(longer, starts))
        found.append(_Level(starts, whole, np.cumsum(flags[k - 1]) - 1, real))
        longer = np.zeros(len(rows), np.int64)
        longer[starts] = real
    return found[::-1]


def _ask(asked: Spill, rows: np.ndarray, levels: list[_Level], number: int) -> None:
    """Sums over what follows each context in this range: (hash, range and length, sum, and how many were seen 1, 2, 3 times)."""
    contexts = list(hashes(rows[:, :-2]))
    for k, level in enumerate(levels[1:], 2):
        c = level.counts[level.real]
        h, which = np.unique(contexts[k - 2][level.starts[level.real]], return_inverse=True)
        table = np.zeros((len(h), 6), np.uint64)
        table[:, 0], table[:, 1] = h, number * 8 + k
        table[:, 2] = np.bincount(which, c, len(h)).astype(np.uint64)
        for seen in (1, 2, 3):
            hit = np.minimum(c, 3) == seen
            table[:, 2 + seen] = np.bincount(which[hit], minlength=len(h)).astype(np.uint64)
        asked.add(table, (h >> U(56)).astype(np.uint8))


def _answer(asked: Spill, entries: _Entries, discounts: list[np.ndarray], rows: int, folder: Path) -> Spill:
    """For each range, the (hash, sum, bits of the share that is left to shorter n-grams) of its contexts."""
    answers = Spill(folder, "answers")
    for first, last in asked.ranges(rows):
        table = asked.read(first, last, 6, np.uint64)
        h, begins, which = np.unique(table[:, 0], return_index=True, return_inverse=True)
        length = (table[begins, 1] & U(7)).astype(np.int64)
        sums = np.zeros((len(h), 4), np.int64)
        np.add.at(sums, which, table[:, 2:].astype(np.int64))
        left = (np.array(discounts)[length, 1:] * sums[:, 1:]).sum(axis=1) / np.maximum(sums[:, 0], 1)
        for k in range(2, len(discounts)):
            mine = length == k
            entries.add(h[mine], k - 1, _BACK, np.log(np.maximum(left[mine], 1e-300)))
        reply = np.column_stack([table[:, 0], sums[which, 0].astype(np.uint64), left[which].view(np.uint64)])
        answers.add(reply, (table[:, 1] >> U(3)).astype(np.uint8))
    return answers


def _interpolate(
    rows: np.ndarray,
    answers: np.ndarray,
    unigrams: np.ndarray,
    p1: np.ndarray,
    discounts: list[np.ndarray],
    entries: _Entries,
) -> None:
    """Probabilities of the n-grams of a range of two symbols and more."""
    known, at = np.unique(answers[:, 0], return_index=True)
    sums, left = answers[at, 1].astype(np.float64), answers[at, 2].copy().view(np.float64)
    levels = _levels(rows)
    shorter = p1[np.searchsorted(unigrams, rows[levels[0].starts, -2])]
    ends, contexts = hashes(rows[:, :-1]), hashes(rows[:, :-2])
    next(ends)
    for k in range(2, len(levels) + 1):
        level, h, context = levels[k - 1], next(ends)[levels[k - 1].starts], next(contexts)[levels[k - 1].starts]
        where = np.minimum(np.searchsorted(known, context), len(known) - 1)
        c = level.counts
        p = (c - discounts[k][np.minimum(c, 3)]) / sums[where] + left[where] * shorter[levels[k - 2].of[level.starts]]
        real = level.real
        entries.add(h[real], k, _P, np.log(p[real]))
        shorter = p


def _added(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(symbols, their counts summed) of rows (symbol, count)."""
    symbols, which = np.unique(rows[:, 0], return_inverse=True)
    return symbols, np.bincount(which, rows[:, 1], len(symbols)).astype(np.int64)


def _unigrams(counts: np.ndarray, discounts: np.ndarray) -> tuple[float, np.ndarray]:
    """(probability of an unknown symbol, those of the known ones)."""
    total = int(counts.sum())
    taken = discounts[np.minimum(counts, 3)]
    floor = float(taken.sum()) / total / (len(counts) + 1)
    return floor, (counts - taken) / total + floor


def _discounts(seen: np.ndarray) -> np.ndarray:
    """What is taken off counts of 0, 1, 2 and of 3 and more; seen: how many n-grams have the adjusted counts 0, 1, 2, 3, 4."""
    t1, t2, t3, t4 = (float(n) for n in seen[1:5])
    if min(t1, t2, t3, t4) <= 0:
        return np.array([0.0, *FALLBACK])
    y = t1 / (t1 + 2 * t2)
    found = np.array([0.0, 1 - 2 * y * t2 / t1, 2 - 3 * y * t3 / t2, 3 - 4 * y * t4 / t3])
    return found if all(0 <= d <= k for k, d in enumerate(found)) else np.array([0.0, *FALLBACK])
