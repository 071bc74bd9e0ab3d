"""Counts of n-grams in bounded memory: they are cut by the hash of their last two symbols, and kept on disk meanwhile.

A row is the n-gram that ends at one symbol of a document: `order` numbers, fewer at the beginning of a document, where it begins
with `BEGIN` and `PAD` fills it up on the left. Rows with the same last two symbols lie in the same of 256 slices, so every
shorter n-gram of two symbols or more, and all that it is continued by to the left, lies in one slice, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from corpusmill.transforms.hashing import GOLDEN, U, mix64_array
from corpusmill.transforms.ngrams._kernels import BEGIN, END, PAD

SLICES = 256
ROW_BYTES = 400
"""Memory that a row takes while probabilities are computed, measured: its sort, its n-grams of each length, their hashes."""


class Spill:
    """Rows of numbers on disk, by slice. Each `add` is one block, sorted by slice."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._begins: list[np.ndarray] = []
        self.sizes = np.zeros(SLICES, np.int64)

    def add(self, rows: np.ndarray, slices: np.ndarray) -> None:
        """rows: [m, width]; slices: uint8 [m]."""
        if not len(rows):
            return
        order = np.argsort(slices, kind="stable")
        begins = np.zeros(SLICES + 1, np.int64)
        np.cumsum(np.bincount(slices, minlength=SLICES), out=begins[1:])
        np.save(self._path(len(self._begins)), rows[order], allow_pickle=False)
        self._begins.append(begins)
        self.sizes += np.diff(begins)

    def read(self, first: int, last: int, width: int, kind: type) -> np.ndarray:
        """The rows of slices [first, last), in the order in which they came."""
        parts = []
        for number, begins in enumerate(self._begins):
            if begins[last] > begins[first]:
                parts.append(np.load(self._path(number), mmap_mode="r")[begins[first] : begins[last]])
        return np.concatenate(parts) if parts else np.zeros((0, width), kind)

    def ranges(self, rows: int) -> list[tuple[int, int]]:
        """Slices in runs of at most so many rows, or of one slice: (first, last) of each."""
        found, first, held = [], 0, 0
        for number, size in enumerate(self.sizes.tolist()):
            if number > first and held + size > rows:
                found.append((first, number))
                first, held = number, 0
            held += size
        return [*found, (first, SLICES)]

    def _path(self, number: int) -> Path:
        return self._folder / f"{self._name}-{number}.npy"


class Counts:
    """Counts of the n-grams of documents. memory: bytes that counting, and later computing probabilities, take about."""

    def __init__(self, order: int, folder: Path, memory: int) -> None:
        self.order, self.folder = order, folder
        self.range_rows = max(1 << 12, memory // ROW_BYTES)
        self.spill = Spill(folder, "counts")
        self._held: list[np.ndarray] = []
        self._rows = 0

    def add(self, offsets: np.ndarray, symbols: np.ndarray) -> None:
        """Count documents: offsets int64 [n + 1], symbols uint32."""
        limit = self.range_rows // 4
        begin = 0
        while begin < len(offsets) - 1:  # so many documents at once as fit
            end = int(np.searchsorted(offsets, offsets[begin] + limit, side="right")) - 1
            end = max(begin + 1, min(end, len(offsets) - 1))
            rows = windows(
                offsets[begin : end + 1] - offsets[begin], symbols[offsets[begin] : offsets[end]], self.order
            )
            self.add_rows(merged(np.column_stack([rows, np.ones(len(rows), np.uint32)])))
            begin = end

    def add_rows(self, rows: np.ndarray) -> None:
        """Count n-grams: uint32 [m, order + 1], their symbols and how often they were seen."""
        self._held.append(rows)
        self._rows += len(rows)
        if self._rows >= self.range_rows // 4:
            self.flush()

    def flush(self) -> None:
        """Write what is held to disk."""
        if self._held:
            rows = merged(np.concatenate(self._held))
            self.spill.add(rows, home(rows[:, :-1]))
        self._held, self._rows = [], 0

    def ranges(self) -> list[tuple[int, int]]:
        """Runs of slices that fit in memory."""
        return self.spill.ranges(self.range_rows)

    def read(self, first: int, last: int) -> np.ndarray:
        """The rows of slices [first, last), each n-gram once: uint32 [m, order + 1], sorted (`merged`)."""
        return merged(self.spill.read(first, last, self.order + 1, np.uint32))


def windows(offsets: np.ndarray, symbols: np.ndarray, order: int) -> np.ndarray:
    """The n-gram that ends at each symbol and at the end of each document: uint32 [symbols + n, order]."""
    n = len(offsets) - 1
    lengths = np.diff(offsets) + 2
    begins = np.cumsum(lengths) - lengths
    sequence = np.full(int(lengths.sum()), BEGIN, np.uint32)
    ends = begins + lengths - 1
    sequence[ends] = END
    inner = np.ones(len(sequence), np.bool_)
    inner[begins] = inner[ends] = False
    sequence[inner] = symbols
    place = np.arange(len(sequence)) - np.repeat(begins, lengths)
    at = np.flatnonzero(place)
    rows = np.empty((len(at), order), np.uint32)
    for back in range(order):
        taken = sequence[np.maximum(at - back, 0)]
        rows[:, order - 1 - back] = np.where(place[at] >= back, taken, np.uint32(PAD))
    return rows if n else rows[:0]


def merged(rows: np.ndarray) -> np.ndarray:
    """Rows uint32 [m, order + 1] with equal n-grams added up, sorted by the last symbol, then the one before, and so on."""
    if not len(rows):
        return rows
    width = rows.shape[1] - 1
    keys = []
    for at in range(width - 1, -1, -2):
        high = rows[:, at].astype(np.uint64) << U(32)
        keys.append(high | rows[:, at - 1] if at else high)
    order = np.lexsort(keys[::-1])
    rows = rows[order]
    first = np.ones(len(rows), np.bool_)
    first[1:] = (rows[1:, :-1] != rows[:-1, :-1]).any(axis=1)
    starts = np.flatnonzero(first)
    out = rows[starts]
    out[:, -1] = np.minimum(np.add.reduceat(rows[:, -1].astype(np.uint64), starts), 0xFFFFFFFF)
    return out


def home(grams: np.ndarray) -> np.ndarray:
    """The slice of each n-gram of two symbols or more, uint8 [m]."""
    last = (grams[:, -1].astype(np.uint64) << U(32)) | grams[:, -2]
    return (mix64_array(last) >> U(56)).astype(np.uint8)


def hashes(grams: np.ndarray) -> Iterator[np.ndarray]:
    """The hashes of the n-grams' ends of 1, 2, ... symbols, uint64 [m] each; of an end with `PAD` in it, anything."""
    with np.errstate(over="ignore"):
        h = mix64_array((grams[:, -1].astype(np.uint64) + U(1)) * GOLDEN)
        yield h
        for at in range(grams.shape[1] - 2, -1, -1):
            h = mix64_array(h ^ ((grams[:, at].astype(np.uint64) + U(1)) * GOLDEN))
            yield h
