"""Kernels of language identification: n-grams of letters, and what they say for each language."""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.transforms.hashing import GOLDEN, U, mix64
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.ngrams._kernels import find
from corpusmill.transforms.unicode import ALPHA, MARK, decode


@njit(inline="always")
def _letters(data: Any, i: int, stop: int, flags: Any, scripts: Any, chars: Any, seen: Any) -> int:
    """Write the letters of a text to `chars`, one blank for what lies between, before and behind; their number. seen: uint32, how
    many letters are of each script."""
    seen[:] = 0
    chars[0] = 32
    n = 1
    while i < stop:
        c, i = decode(data, i, stop)
        if flags[c] & (ALPHA | MARK):
            chars[n] = c
            n += 1
            seen[scripts[c >> 4]] += 1
        elif chars[n - 1] != 32:
            chars[n] = 32
            n += 1
    if chars[n - 1] != 32:
        chars[n] = 32
        n += 1
    return n


@njit(nogil=True, cache=True)
def letter_grams(
    offsets: Any, data: Any, flags: Any, scripts: Any, order: int, grams: Any, lengths: Any, seen: Any
) -> int:
    """The n-grams of 1 to `order` letters and blanks of all texts: hashes to `grams`, their lengths to `lengths`; how many."""
    longest: Any = np.int64(0)
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    chars = np.empty(longest + 3, np.int32)
    count = np.zeros(64, np.uint32)
    at = 0
    for row in range(len(offsets) - 1):
        n = _letters(data, np.int64(offsets[row]), np.int64(offsets[row + 1]), flags, scripts, chars, count)
        for k in range(64):
            seen[k] += count[k]
        for i in range(1, n):
            h = U(0)
            for k in range(min(order, i + 1)):
                h = mix64(h ^ (U(chars[i - k]) * GOLDEN))
                grams[at] = h
                lengths[at] = k + 1
                at += 1
    return at


@njit(nogil=True, cache=True)
def add_up(
    offsets: Any,
    data: Any,
    flags: Any,
    scripts: Any,
    order: int,
    table: Any,
    slots: int,
    starts: Any,
    labels: Any,
    weights: Any,
    gates: Any,
    out: Any,
    found: Any,
) -> None:
    """For each text the mean weight of its n-grams for each language, float64 [n, labels]; -1 for languages of other scripts.

    table: of n-grams (`corpusmill.transforms.ngrams._kernels.place`), whose entries end in the number of an n-gram; starts: where
    the `labels` uint16 and `weights` float32 of each begin; gates: uint64 [labels], a bit for each script. found: letters of the
    commonest script of each text.
    """
    longest: Any = np.int64(0)
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    chars = np.empty(longest + 3, np.int32)
    seen = np.zeros(64, np.uint32)
    size = U(slots)
    for row in range(len(offsets) - 1):
        n = _letters(data, np.int64(offsets[row]), np.int64(offsets[row + 1]), flags, scripts, chars, seen)
        main = 0
        for k in range(64):
            if seen[k] > seen[main]:
                main = k
        found[row] = seen[main]
        sums = out[row]
        sums[:] = 0.0
        count = 0
        for i in range(1, n):
            h = U(0)
            for k in range(min(order, i + 1)):
                h = mix64(h ^ (U(chars[i - k]) * GOLDEN))
                entry = find(table, size, h)
                if entry == U(0):
                    break
                which = np.int64(entry & U(0xFFFFFFFF))
                for j in range(starts[which], starts[which + 1]):
                    sums[labels[j]] += weights[j]
            count += 1
        bit = U(1) << U(main)
        for k in range(len(gates)):
            sums[k] = sums[k] / max(count, 1) if gates[k] & bit else -1.0
