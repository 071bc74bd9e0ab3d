"""MinHash sketches by fast similarity sketching, and the band keys under which similar documents meet.

Source: Dahlgaard, Knudsen, Thorup 2017, "Fast similarity sketching", FOCS. A sketch of t slots is filled in rounds
0 .. 2t-1: in round i < t each shingle goes to a random slot with a random value in [i, i+1), in round t + j to slot j, and a
slot keeps its least value; it is done when every slot is filled. A long document needs one hash a shingle, a short one
O(t log t). The share of equal slots of two sketches is an unbiased estimate of the Jaccard similarity of their sets.

Banding: a sketch of bands * rows slots is cut in bands; two documents are candidates if a band agrees, which for
similarity s happens with probability 1 - (1 - s^rows)^bands (Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", 3.4).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.dedup._shingles import shingle
from corpusmill.transforms.hashing import GOLDEN, U, mix64, murmur128
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.normal_forms import normalize
from corpusmill.transforms.unicode import tables
from corpusmill.transforms.words import hash_words, scratch

_VALUE = U((1 << 48) - 1)
_EMPTY = U(0xFFFFFFFFFFFFFFFF)


@njit(nogil=True, cache=True)
def _distinct(shingles: Any, count: int, most: int) -> int:
    """Brings the distinct ones of shingles[:count] to its front, in order, and returns their number; `count` if there are more
    than `most`. Overwrites shingles[:count]; its set stays."""
    bits = 1
    while (1 << bits) < 2 * most:
        bits += 1
    table = np.full(1 << bits, -1, np.int64)
    shift, mask = U(64 - bits), (1 << bits) - 1
    n = 0
    for k in range(count):
        h = shingles[k]
        at = np.int64(h >> shift)
        while table[at] >= 0 and shingles[table[at]] != h:
            at = (at + 1) & mask
        if table[at] < 0:
            if n == most:
                return count
            table[at] = n
            shingles[n] = h
            n += 1
    return n


@njit(inline="always")
def fill_sketch(shingles: Any, count: int, slots: Any) -> None:
    """Fast similarity sketch of shingles[:count] (mixed uint64, count > 0; repeats do no harm) into `slots` uint64 [t].

    A long document of few distinct shingles needs many rounds, so that its repeats are dropped first: it may overwrite
    shingles[:count] with another list of the same set.
    """
    t = len(slots)
    slots[:] = _EMPTY
    for k in range(count):
        h = shingles[k]
        b = ((h >> U(32)) * U(t)) >> U(32)
        slots[b] = min(slots[b], h & _VALUE)
    missing = 0
    for b in range(t):
        if slots[b] == _EMPTY:
            missing += 1
    if missing > 0 and count > 8 * t:
        count = _distinct(shingles, count, 32 * t)
    i = 1
    while missing > 0 and i < t:
        # shingles are mixed already: a different odd multiplier in each round gives different upper bits
        multiplier, base = mix64(U(i) * GOLDEN) | U(1), U(i) << U(48)
        for k in range(count):
            h = shingles[k] * multiplier
            b = ((h >> U(32)) * U(t)) >> U(32)
            v = base | (h & _VALUE)
            slots[b] = min(slots[b], v)
        missing = 0
        for b in range(t):
            missing += slots[b] == _EMPTY
        i += 1
    if missing > 0:
        for b in range(t):
            if slots[b] == _EMPTY:
                seed = U(t + b) * GOLDEN
                for k in range(count):
                    slots[b] = min(slots[b], (U(t) << U(48)) | (mix64(shingles[k] ^ seed) & _VALUE))


@njit(nogil=True, cache=True)
def _sketches(
    offsets: Any, data: Any, n: int, flags: Any, lower: Any, slots: Any, words_hash: Any, counts: Any
) -> None:
    folded, edges, words = scratch(offsets)
    shingles = np.empty_like(words)
    for row in range(len(offsets) - 1):
        start, stop = offsets[row], offsets[row + 1]
        count = hash_words(data, start, stop, flags, lower, folded, edges, words)
        counts[row], words_hash[row] = shingle(words, count, n, shingles)
        if counts[row]:
            fill_sketch(shingles, counts[row], slots[row])
        else:
            words_hash[row] = murmur128(data, start, stop, U(n))[0]


def sketch(texts: pa.Array, slots: int, ngram: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(slots uint64 [n, slots], hash of the words uint64 [n], shingles int64 [n]) of each text.

    A text without words has 0 shingles, no sketch (its slots are arbitrary), and the hash of its bytes.
    """
    texts = normalize(texts, "NFC")
    offsets, data = string_buffers(texts)
    flags, lower = tables()
    out = np.empty((len(texts), slots), np.uint64)
    words_hash, counts = np.empty(len(texts), np.uint64), np.empty(len(texts), np.int64)
    _sketches(offsets, data, ngram, flags, lower, out, words_hash, counts)
    return out, words_hash, counts


@njit(nogil=True, cache=True)
def band_keys(slots: Any, words_hash: Any, counts: Any, bands: int, band_slots: int) -> tuple[Any, Any, Any]:
    """(key, content, document) uint64, uint64, int64 [m]: one row for each band of each document.

    slots, words_hash, counts: of `sketch`; band_slots: slots in a band.

    key: hash of (band, its slots). content: bits 48..63 of the next band's key, so that
    documents of a hot band that share more bands lie side by side; 47 bits of the hash of the words, which find equal
    documents; and 1 in the first band only. A document without words has one row, keyed by its bytes.
    """
    n = len(words_hash)
    total = 0
    for d in range(n):
        total += bands if counts[d] else 1
    key = np.empty(total, np.uint64)
    content = np.empty(total, np.uint64)
    document = np.empty(total, np.int64)
    own = np.empty(bands, np.uint64)
    m = 0
    for d in range(n):
        words = (mix64(words_hash[d]) >> U(16)) & ~U(1)
        if counts[d] == 0:
            key[m], content[m], document[m] = mix64(words_hash[d] ^ GOLDEN), words | U(1), d
            m += 1
            continue
        for b in range(bands):
            h = U(b) * GOLDEN
            for r in range(b * band_slots, (b + 1) * band_slots):
                h = (h ^ slots[d, r]) * U(0xD6E8FEB86659FD93)
                h ^= h >> U(32)
            own[b] = mix64(h)
        for b in range(bands):
            key[m] = own[b]
            content[m] = ((own[(b + 1) % bands] >> U(48)) << U(48)) | words | U(b == 0)
            document[m] = d
            m += 1
    return key, content, document
