"""Documents as counts of hashed n-grams of words and of characters, and the mean of their rows in a table.

A word is as in `corpusmill.transforms.words`. With `longest` above 0, runs of `shortest` to `longest` lower-case characters of
each word count, too, with a mark for the word's begin and end, as in fastText (Bojanowski et al. 2017, section 3.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.hashing import GOLDEN, U, mix64
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.normal_forms import normalize
from corpusmill.transforms.select._ngrams import bucket_of
from corpusmill.transforms.unicode import decode, tables
from corpusmill.transforms.words import hash_words, next_hashed, scratch

STRIPE = 1 << 20
"""Bytes of text whose n-grams are sorted at once; bounds memory."""
BEGIN, END = 1, 2
"""Code points that stand for the begin and the end of a word; no word holds them."""


@njit(inline="always")
def _runs(
    data: Any,
    i: int,
    stop: int,
    flags: Any,
    lower: Any,
    shortest: int,
    longest: int,
    buckets: int,
    points: Any,
    slots: Any,
    count: int,
) -> int:
    """Append the buckets of the runs of characters in the words of data[i:stop] to slots[:count]; returns the new count."""
    while True:
        start, i, _ = next_hashed(data, i, stop, flags, lower)
        if start == stop:
            return count
        points[0] = BEGIN
        n = 1
        at = start
        while at < i:
            c, at = decode(data, at, i)
            points[n] = lower[c]
            n += 1
        points[n] = END
        n += 1
        for begin in range(n):
            h = U(0x51ED270B)
            for end in range(begin, min(begin + longest, n)):
                h = mix64((h + GOLDEN) ^ U(points[end]))
                if end - begin + 1 >= shortest and (end > begin or (begin > 0 and end < n - 1)):
                    slots[count] = np.int64(((h >> U(32)) * U(buckets)) >> U(32))
                    count += 1


@njit(inline="always")
def _slots(
    offsets: Any,
    data: Any,
    row: int,
    flags: Any,
    lower: Any,
    order: int,
    shortest: int,
    longest: int,
    buckets: int,
    folded: Any,
    edges: Any,
    words: Any,
    points: Any,
    slots: Any,
) -> int:
    """Write the buckets of all n-grams of a document to `slots`; returns how many."""
    n = hash_words(data, offsets[row], offsets[row + 1], flags, lower, folded, edges, words)
    count = 0
    for length in range(1, order + 1):
        for start in range(n - length + 1):
            slots[count] = bucket_of(words, start, length, buckets)
            count += 1
    if longest > 0:
        count = _runs(
            data,
            np.int64(offsets[row]),
            np.int64(offsets[row + 1]),
            flags,
            lower,
            shortest,
            longest,
            buckets,
            points,
            slots,
            count,
        )
    return count


@njit(nogil=True, cache=True)
def _means(
    offsets: Any,
    data: Any,
    flags: Any,
    lower: Any,
    order: int,
    shortest: int,
    longest: int,
    room: int,
    table: Any,
    out: Any,
) -> None:
    folded, edges, words = scratch(offsets)
    slots = np.empty(room, np.int64)
    points = np.empty(len(words) + 2 if longest > 0 else 1, np.int64)
    width = table.shape[1]
    for row in range(len(offsets) - 1):
        count = _slots(
            offsets, data, row, flags, lower, order, shortest, longest, len(table), folded, edges, words, points, slots
        )
        for k in range(width):
            out[row, k] = 0.0
        for i in range(count):
            at = slots[i]
            for k in range(width):
                out[row, k] += table[at, k]
        for k in range(width):
            out[row, k] /= max(count, 1)


@njit(nogil=True, cache=True)
def _list(
    offsets: Any,
    data: Any,
    flags: Any,
    lower: Any,
    order: int,
    shortest: int,
    longest: int,
    room: int,
    buckets: int,
    out: Any,
    ends: Any,
) -> None:
    """The buckets of each document one after the other in `out`, (row << 32) | bucket; ends[row]: where the row's end."""
    folded, edges, words = scratch(offsets)
    slots = np.empty(room, np.int64)
    points = np.empty(len(words) + 2 if longest > 0 else 1, np.int64)
    total = 0
    for row in range(len(offsets) - 1):
        count = _slots(
            offsets, data, row, flags, lower, order, shortest, longest, buckets, folded, edges, words, points, slots
        )
        for i in range(count):
            out[total] = (U(row) << U(32)) | U(slots[i])
            total += 1
        ends[row] = total


@njit(nogil=True, cache=True)
def _project(means: Any, output: Any, bias: Any, out: Any) -> None:
    """out = bias + means @ output, summed in one order whatever the number of rows."""
    for row in range(len(means)):
        for k in range(len(bias)):
            total = 0.0
            for j in range(means.shape[1]):
                total += means[row, j] * output[j, k]
            out[row, k] = bias[k] + total


@dataclass(frozen=True)
class Grams:
    """What is counted: n-grams of 1 to `order` words, and runs of `shortest` to `longest` characters (0: none), in `buckets`."""

    order: int
    buckets: int
    shortest: int = 0
    longest: int = 0

    def room(self, size: int) -> int:
        """The most n-grams that a text of so many bytes can have."""
        # a word of n characters and its two marks begins n + 2 runs of each length
        return size * self.order + (3 * size * (self.longest - self.shortest + 1) if self.longest else 0) + 1

    def means(self, texts: pa.Array, table: np.ndarray) -> np.ndarray:
        """The mean of each text's rows in `table`, float32 [buckets, d]: float64 [n, d]; zeros for a text without words."""
        out = np.empty((len(texts), table.shape[1]), np.float64)
        offsets, data = _text(texts)
        room = self.room(int(np.diff(offsets).max(initial=0)))
        _means(offsets, data, *tables(), self.order, self.shortest, self.longest, room, table, out)
        return out


def project(means: np.ndarray, output: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """bias + means @ output: float64 [n, labels], from float64 [n, d] and float32 [d, labels]."""
    out = np.empty((len(means), len(bias)), np.float64)
    _project(means, output, bias, out)
    return out


def _text(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    return string_buffers(normalize(texts.fill_null(""), "NFC"))


@dataclass(frozen=True)
class Bags:
    """Count vectors of documents: those of document i are slots[offsets[i]:offsets[i + 1]], rising, with their counts.

    offsets: int64 [n + 1]; slots: uint32; counts: uint16, at most 65,535.
    """

    offsets: np.ndarray
    slots: np.ndarray
    counts: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @classmethod
    def joined(cls, parts: list[Bags]) -> Bags:
        """Several one after the other."""
        begins = np.cumsum([0, *(len(p.slots) for p in parts)])
        offsets = [p.offsets[:-1] + begin for p, begin in zip(parts, begins)] + [begins[-1:]]
        none = [Bags(np.zeros(1, np.int64), np.zeros(0, np.uint32), np.zeros(0, np.uint16))]
        slots, counts = ([getattr(p, name) for p in parts or none] for name in ("slots", "counts"))
        return cls(np.concatenate(offsets).astype(np.int64), np.concatenate(slots), np.concatenate(counts))


def bags(texts: pa.Array, grams: Grams) -> Bags:
    """Count vectors of texts; a null text, and one without words, has none."""
    return Bags.joined([_sorted(part, grams) for part in _stripes(texts)])


def _stripes(texts: pa.Array) -> Iterator[pa.Array]:
    sizes = np.cumsum(np.diff(string_buffers(texts.fill_null(""))[0].astype(np.int64)))
    start = 0
    while start < len(texts):
        before = sizes[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(sizes, before + STRIPE, "right")))
        yield texts.slice(start, stop - start)
        start = stop


def _sorted(texts: pa.Array, grams: Grams) -> Bags:
    offsets, data = _text(texts)
    out, ends = np.empty(grams.room(int(offsets[-1]) - int(offsets[0])), np.uint64), np.zeros(len(texts), np.int64)
    room = grams.room(int(np.diff(offsets).max(initial=0)))
    _list(offsets, data, *tables(), grams.order, grams.shortest, grams.longest, room, grams.buckets, out, ends)
    keys = np.sort(out[: ends[-1]])
    first = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])) if len(keys) else np.zeros(0, np.int64)
    counts = np.diff(np.append(first, len(keys)))
    keys = keys[first]
    begins = np.searchsorted(keys, np.arange(len(texts) + 1, dtype=np.uint64) << U(32))
    return Bags(begins.astype(np.int64), keys.astype(np.uint32), np.minimum(counts, 0xFFFF).astype(np.uint16))
