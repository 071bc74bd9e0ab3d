"""Kernels of word vectors: words of texts, sums of what stands around each word, and vectors of texts.

A word w has an index vector r(w) of +1 and -1, which is the bits of its hash; so has a pair of neighbours. All sums are whole
numbers, and what is not a sum (square roots, divisions) is one operation that IEEE 754 defines: any machine gets the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.transforms.hashing import GOLDEN, U, mix64
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.kernels.sorting import heapsort
from corpusmill.transforms.words import hash_words, scratch

SCALE = 32
"""What +1 of an index vector counts as beside the int8 components of a trained vector."""
DAMPED = 16
"""The weight of a word that occurs once in a text, before its rarity; one that occurs n times has DAMPED (1 + log2 n)."""


@njit(nogil=True, cache=True)
def word_lists(offsets: Any, data: Any, flags: Any, lower: Any, limit: int, begins: Any, out: Any) -> Any:
    """Hashes of the first `limit` words of each text to out[begins[row]:begins[row + 1]]; `begins` int64 is filled."""
    folded, edges, words = scratch(offsets)
    total = np.int64(0)
    for row in range(len(offsets) - 1):
        begins[row] = total
        count = min(limit, hash_words(data, offsets[row], offsets[row + 1], flags, lower, folded, edges, words))
        for k in range(count):
            out[total + k] = words[k]
        total += count
    begins[len(offsets) - 1] = total


@njit(inline="always")
def add_index(word: Any, weight: int, to: Any) -> None:
    """Add weight * r(word) to `to`, int64 [d], d a multiple of 64."""
    twice = np.int64(2 * weight)
    for begin in range(0, len(to), 64):
        bits = mix64(word ^ (U(begin + 1) * GOLDEN))
        for j in range(64):
            to[begin + j] += (twice & -np.int64((bits >> U(j)) & U(1))) - weight


@njit(inline="always")
def slot_of(keys: Any, word: Any) -> Any:
    """The entry of `word` in an open-addressed table of hashes, 0 for none; -1 if it is not there."""
    mask = len(keys) - 1
    at = np.int64(mix64(word) >> U(20)) & mask
    while keys[at] != U(0):
        if keys[at] == word:
            return at
        at = (at + 1) & mask
    return -1


@njit(nogil=True, cache=True)
def fill_table(words: Any, keys: Any, entries: Any) -> None:
    """Enter words (uint64, distinct) into the table `keys` (zeros, a power of two); entries[slot] is the word's number."""
    mask = len(keys) - 1
    for e in range(len(words)):
        at = np.int64(mix64(words[e]) >> U(20)) & mask
        while keys[at] != U(0):
            at = (at + 1) & mask
        keys[at] = words[e]
        entries[at] = e


@njit(nogil=True, cache=True)
def surroundings(begins: Any, numbers: Any, index: Any, window: int, sums: Any) -> None:
    """Add to sums[w], int64 [V, d], the weighted index vectors of the words within `window` words of each w.

    numbers: int64, each word's number in the vocabulary, -1 outside; such words count in no sum. index: int32 [V, d], the
    index vector of each word times its weight.
    """
    d = sums.shape[1]
    around = np.zeros(d, np.int32)
    for row in range(len(begins) - 1):
        begin, end = begins[row], begins[row + 1]
        around[:] = 0
        for k in range(begin, min(end, begin + window)):
            if numbers[k] >= 0:
                new = index[numbers[k]]
                for j in range(d):
                    around[j] += new[j]
        for k in range(begin, end):
            fresh, gone = k + window, k - window - 1
            if fresh < end and numbers[fresh] >= 0:
                new = index[numbers[fresh]]
                for j in range(d):
                    around[j] += new[j]
            if gone >= begin and numbers[gone] >= 0:
                old = index[numbers[gone]]
                for j in range(d):
                    around[j] -= old[j]
            if numbers[k] >= 0:
                to, own = sums[numbers[k]], index[numbers[k]]
                for j in range(d):
                    to[j] += around[j] - own[j]


@njit(inline="always")
def _damped(count: int) -> int:
    """DAMPED (1 + log2 count), with the logarithm cut to its whole part and two bits behind it."""
    log = 0
    while count >> (log + 1):
        log += 1
    rest = ((count << 2) >> log) & 3
    return DAMPED + 16 * log + 4 * rest


@njit(nogil=True, cache=True)
def text_sums(
    offsets: Any, data: Any, flags: Any, lower: Any, limit: int, keys: Any, entries: Any, vectors: Any, weights: Any,
    unknown: int, share: int, out: Any,
) -> None:  # fmt: skip
    """The sum of the vectors of each text's distinct words and pairs of neighbours: out int64 [n, d].

    vectors: int8 [V, d] of known words; other words have SCALE r(w). weights: int64 [V], rarities, `unknown` for other words;
    share: the weight of a pair, in 16ths of the mean weight of its words.
    """
    folded, edges, words = scratch(offsets)
    pairs, heavy = np.empty_like(words), np.empty(len(words), np.int64)
    d = out.shape[1]
    for row in range(len(offsets) - 1):
        count = min(limit, hash_words(data, offsets[row], offsets[row + 1], flags, lower, folded, edges, words))
        to = out[row]
        for k in range(count - 1):
            a, b = slot_of(keys, words[k]), slot_of(keys, words[k + 1])
            heavy[k] = (weights[entries[a]] if a >= 0 else unknown) + (weights[entries[b]] if b >= 0 else unknown)
            pairs[k] = mix64(words[k] + GOLDEN) ^ words[k + 1]
        heapsort(pairs, heavy, count - 1)
        k = 0
        while k < count - 1:
            first = k
            while k < count - 1 and pairs[k] == pairs[first]:
                k += 1
            weight = (SCALE * share * _damped(k - first) * heavy[first]) >> 5
            if weight:
                add_index(pairs[first], weight, to)
        heapsort(words, heavy, count)
        mine = words
        k = 0
        while k < count:
            first = k
            while k < count and mine[k] == mine[first]:
                k += 1
            at = slot_of(keys, mine[first])
            if at < 0:
                add_index(mine[first], SCALE * _damped(k - first) * unknown, to)
                continue
            weight = _damped(k - first) * weights[entries[at]]
            vector = vectors[entries[at]]
            for j in range(d):
                to[j] += weight * np.int64(vector[j])


@njit(nogil=True, cache=True)
def to_int8(sums: Any, out: Any) -> None:
    """Sums int64 [n, d], scaled so that the largest component is 127. A row of zeros stays one."""
    n, d = sums.shape
    for i in range(n):
        largest = np.int64(0)
        for j in range(d):
            largest = max(largest, abs(sums[i, j]))
        for j in range(d):
            out[i, j] = np.int8(np.rint(float(sums[i, j]) / float(largest) * 127.0)) if largest > 0 else 0


@njit(nogil=True, cache=True)
def index_vectors(words: Any, out: Any) -> None:
    """Add r(w) of each word to its row of out, int64 [n, d]."""
    for k in range(len(words)):
        add_index(words[k], 1, out[k])
