"""Hashed word n-grams: counts over documents, and the weighted sum of each document's n-grams."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.hashing import GOLDEN, U, mix64
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.normal_forms import normalize
from corpusmill.transforms.unicode import tables
from corpusmill.transforms.words import hash_words, scratch


@njit(inline="always")
def bucket_of(words: Any, start: int, length: int, buckets: int) -> Any:
    """The bucket of the n-gram words[start:start + length]. Orders differ by their seed, so "a" and "a a" do not meet."""
    h = U(length)
    for k in range(start, start + length):
        h = mix64((h + GOLDEN) ^ words[k])
    return np.int64(((h >> U(32)) * U(buckets)) >> U(32))


@njit(nogil=True, cache=True)
def _count(offsets: Any, data: Any, flags: Any, lower: Any, order: int, counts: Any) -> None:
    folded, edges, words = scratch(offsets)
    for row in range(len(offsets) - 1):
        n = hash_words(data, offsets[row], offsets[row + 1], flags, lower, folded, edges, words)
        for length in range(1, order + 1):
            for start in range(n - length + 1):
                counts[bucket_of(words, start, length, len(counts))] += 1


@njit(nogil=True, cache=True)
def _sum(offsets: Any, data: Any, flags: Any, lower: Any, order: int, weights: Any, sums: Any, grams: Any) -> None:
    folded, edges, words = scratch(offsets)
    for row in range(len(offsets) - 1):
        n = hash_words(data, offsets[row], offsets[row + 1], flags, lower, folded, edges, words)
        total = 0.0
        count = 0
        for length in range(1, order + 1):
            for start in range(n - length + 1):
                total += weights[bucket_of(words, start, length, len(weights))]
                count += 1
        sums[row] = total
        grams[row] = count


def ngram_counts(texts: pa.Array, order: int, buckets: int) -> np.ndarray:
    """How many n-grams of 1 to `order` words fall into each bucket, over all texts: uint64 [buckets]. Null counts as empty."""
    offsets, data = string_buffers(normalize(texts.fill_null(""), "NFC"))
    counts = np.zeros(buckets, np.uint64)
    _count(offsets, data, *tables(), order, counts)
    return counts


def ngram_sums(texts: pa.Array, order: int, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each text: the sum of `weights` (float64 [buckets]) over its n-grams, float64 [n], and their number, int64 [n]."""
    offsets, data = string_buffers(normalize(texts.fill_null(""), "NFC"))
    sums, grams = np.zeros(len(texts), np.float64), np.zeros(len(texts), np.int64)
    _sum(offsets, data, *tables(), order, weights, sums, grams)
    return sums, grams
