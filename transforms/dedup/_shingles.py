"""Shingles: the hashed n-grams of a document's words, over which MinHash and the Jaccard similarity are defined.

Words are those of `corpusmill.transforms.unicode` over NFC text, lower-cased: in scripts written without spaces each character is a
word, so that shingles are character n-grams there. A document of fewer than n words is one shingle, all of it; one
without words has none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.hashing import U, mix64
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.normal_forms import normalize
from corpusmill.transforms.unicode import tables
from corpusmill.transforms.words import hash_words, scratch

_BASE = U(0xD6E8FEB86659FD93)
_SHORT = U(0x8CB92BA72F3D8DD7)


@njit(inline="always")
def shingle(words: Any, count: int, n: int, out: Any) -> tuple[int, Any]:
    """Hash the shingles of words[:count] (hashes) into `out`, uint64 of at least count + 1. Returns (their number, hash of all
    words).

    A shingle is a polynomial over its words' hashes modulo 2^64, rolled from word to word, and mixed.
    """
    top = U(1)
    for _ in range(n):
        top *= _BASE
    rolled = U(0)
    words_hash = U(n)
    for k in range(min(n, count)):
        words_hash = (words_hash + words[k]) * _BASE
        words_hash ^= words_hash >> U(31)
        rolled = rolled * _BASE + words[k]
    if count == 0:
        return 0, words_hash
    if count < n:
        out[0] = mix64(words_hash ^ _SHORT)
        return 1, words_hash
    out[0] = mix64(rolled)
    for k in range(n, count):
        words_hash = (words_hash + words[k]) * _BASE
        words_hash ^= words_hash >> U(31)
        rolled = rolled * _BASE + words[k] - words[k - n] * top
        out[k - n + 1] = mix64(rolled)
    return count - n + 1, words_hash


@njit(inline="always")
def ordered_set(values: Any, count: int, table: Any, out: Any, begin: int) -> int:
    """Write the distinct upper 32 bits of values[:count] (uint64 hashes) to out[begin:] in rising order. Returns their number.

    Uses a hash table addressed by the upper bits, whose probing keeps the order (Amble and Knuth 1974): linear time.
    table: int64 scratch of at least 4 * count + 64.
    """
    bits = 1
    while (1 << bits) < 2 * count:
        bits += 1
    size = (1 << bits) + count + 1
    for s in range(size):
        table[s] = -1
    shift = U(64 - bits)
    for i in range(count):
        at = np.int64(values[i] >> shift)
        value = np.int64(values[i] >> U(32))
        while table[at] >= 0 and table[at] != value:
            if table[at] > value:
                table[at], value = value, table[at]
            at += 1
        table[at] = value
    n = begin
    for s in range(size):
        if table[s] >= 0:
            out[n] = np.uint32(table[s])
            n += 1
    return n - begin


@njit(nogil=True, cache=True)
def _shingle_sets(offsets: Any, data: Any, n: int, flags: Any, lower: Any, begins: Any, out: Any) -> int:
    folded, edges, words = scratch(offsets)
    hashes = np.empty_like(words)
    table = np.empty(4 * len(words) + 64, np.int64)
    total = 0
    for row in range(len(offsets) - 1):
        begins[row] = total
        count = hash_words(data, offsets[row], offsets[row + 1], flags, lower, folded, edges, words)
        count, _ = shingle(words, count, n, hashes)
        total += ordered_set(hashes, count, table, out, total)
    begins[len(offsets) - 1] = total
    return total


def shingle_sets(texts: pa.Array, n: int) -> pa.Array:
    """The set of shingles of each text: list<uint32> in rising order, the upper 32 bits of each hash.

    Two different shingles of a pair of documents with a and b shingles collide with probability a * b / 2^32.

    >>> [len(x) for x in shingle_sets(pa.array(["to be or not to be or not", "人之初性本善", ""]), 3).to_pylist()]
    [4, 4, 0]
    """
    texts = normalize(texts, "NFC")
    offsets, data = string_buffers(texts)
    flags, lower = tables()
    begins = np.zeros(len(texts) + 1, np.int32)
    out = np.empty(int(offsets[-1] - offsets[0]) + len(texts) + 1, np.uint32)
    total = _shingle_sets(offsets, data, n, flags, lower, begins, out) if len(texts) else 0
    return pa.ListArray.from_arrays(pa.array(begins), pa.array(out[:total].copy()))
