"""Word n-grams as 64-bit hashes, and a table of those of the evaluation sets.

The hash of words w[i - L + 1 .. i] is P[i] - P[i - L] B^L with P[i] = P[i - 1] B + h(w[i]) modulo 2^64 (Karp and Rabin 1987),
so that windows of every length L cost one multiplication; it is mixed, with L, before it is looked up. h is that of
`corpusmill.transforms.unicode.next_word`, of the lower-cased word: case, white space and punctuation do not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.hashing import GOLDEN, U, mix64
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.unicode import next_word, tables

_BASE = U(0xC2B2AE3D27D4EB4F)


@dataclass(frozen=True)
class Grams:
    """The distinct n-grams of all items.

    n: words of an n-gram; lengths int64 [l]: the window lengths that occur, ascending; powers uint64 [l]: B^L; bits uint64
    [2^b]: a bit map of the hashes, which most windows of a document never pass; gate uint64 [2^c]: the same of the last
    `lengths[0]` words of all items shorter than n, so that their many lengths cost one look; slots int64 [2^s]: an
    open-addressed table of entries, -1 where empty; hashes uint64 [g]; first int64 [g + 1], items int64: the items that hold
    entry e are items[first[e]:first[e + 1]]; skipped: items too short to be looked for.
    """

    n: int
    lengths: np.ndarray
    powers: np.ndarray
    bits: np.ndarray
    gate: np.ndarray
    slots: np.ndarray
    hashes: np.ndarray
    first: np.ndarray
    items: np.ndarray
    skipped: int


def build_grams(texts: list[tuple[pa.Array, np.ndarray]], n: int, min_words: int) -> Grams:
    """Of columns of texts with the item of each row, int64: n-grams; of texts shorter than n words, and no shorter than
    min_words, the whole."""
    parts = [_item_grams(*string_buffers(t), items, n, min_words, *tables()) for t, items in texts]
    hashes = np.concatenate([p[0] for p in parts]) if parts else np.zeros(0, np.uint64)
    items = np.concatenate([p[1] for p in parts]) if parts else np.zeros(0, np.int64)
    widths = np.concatenate([p[2] for p in parts]) if parts else np.zeros(0, np.int64)
    known = set(items.tolist())
    skipped = len({int(i) for _, every in texts for i in every} - known)
    order = np.lexsort((items, hashes))
    pairs = np.stack([hashes[order], items[order].astype(np.uint64)])
    fresh = np.ones(len(order), np.bool_)
    fresh[1:] = (pairs[:, 1:] != pairs[:, :-1]).any(axis=0)
    hashes, items = pairs[0][fresh], pairs[1][fresh].astype(np.int64)
    distinct, begins = np.unique(hashes, return_index=True)
    first = np.append(begins, len(hashes)).astype(np.int64)
    lengths = np.unique(widths).astype(np.int64)
    powers = np.array([pow(int(_BASE), int(length), 1 << 64) for length in lengths], np.uint64)
    bits, slots = _tables_of(distinct)
    gates = (
        [_gates(*string_buffers(t), n, min_words, int(lengths[0]), *tables()) for t, _ in texts] if len(lengths) else []
    )
    gate = _tables_of(np.unique(np.concatenate(gates)) if gates else np.zeros(0, np.uint64))[0]
    return Grams(n, lengths, powers, bits, gate, slots, distinct, first, items, skipped)


@njit(nogil=True, cache=True)
def _tables_of(hashes: Any) -> tuple[Any, Any]:
    size = 1024
    while size < 2 * len(hashes):
        size *= 2
    slots = np.full(size, -1, np.int64)
    bits = np.zeros(size // 4, np.uint64)  # 16 bits a slot: one in 32 is set at most
    for e in range(len(hashes)):
        h = hashes[e]
        at = np.int64(h >> U(40)) & (size - 1)
        while slots[at] >= 0:
            at = (at + 1) & (size - 1)
        slots[at] = e
        b = h & U(16 * size - 1)
        bits[np.int64(b >> U(6))] |= U(1) << (b & U(63))
    return bits, slots


@njit(nogil=True, cache=True)
def _item_grams(
    offsets: Any, data: Any, items: Any, n: int, min_words: int, flags: Any, lower: Any
) -> tuple[Any, Any, Any]:
    size = max(16, offsets[-1] - offsets[0])
    hashes, owners, widths = np.empty(size, np.uint64), np.empty(size, np.int64), np.empty(size, np.int64)
    prefix = np.zeros(size + 1, np.uint64)
    power = U(1)
    for _ in range(n):
        power *= _BASE
    k = 0
    for row in range(len(offsets) - 1):
        i, stop = np.int64(offsets[row]), np.int64(offsets[row + 1])
        words = 0
        while i < stop:
            start, i, h = next_word(data, i, stop, flags, lower)
            if i > start:
                words += 1
                prefix[words] = prefix[words - 1] * _BASE + mix64(h)
                if words >= n:
                    hashes[k] = mix64((prefix[words] - prefix[words - n] * power) ^ (U(n) * GOLDEN))
                    owners[k], widths[k] = items[row], n
                    k += 1
        if min_words <= words < n:
            hashes[k] = mix64(prefix[words] ^ (U(words) * GOLDEN))
            owners[k], widths[k] = items[row], words
            k += 1
    return hashes[:k], owners[:k], widths[:k]


@njit(nogil=True, cache=True)
def _gates(offsets: Any, data: Any, n: int, min_words: int, width: int, flags: Any, lower: Any) -> Any:
    """The hash of the last `width` words of every text of min_words to n - 1 words."""
    out = np.empty(len(offsets), np.uint64)
    last = np.empty(n, np.uint64)
    k = 0
    for row in range(len(offsets) - 1):
        i, stop = np.int64(offsets[row]), np.int64(offsets[row + 1])
        words = 0
        while i < stop and words < n:
            start, i, h = next_word(data, i, stop, flags, lower)
            if i > start:
                last[words] = mix64(h)
                words += 1
        if min_words <= words < n:
            x = U(0)
            for j in range(words - width, words):
                x = x * _BASE + last[j]
            out[k] = mix64(x)
            k += 1
    return out[:k]


@njit(nogil=True, cache=True)
def _matches(
    offsets: Any, data: Any, flags: Any, lower: Any, n: int, lengths: Any, powers: Any, bits: Any, gate: Any, slots: Any,
    hashes: Any,
) -> Any:  # fmt: skip
    longest = 0
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    starts = np.empty(longest + 1, np.int32)
    prefix = np.zeros(longest + 2, np.uint64)
    mask, within, gate_mask = len(slots) - 1, U(16 * len(slots) - 1), U(64 * len(gate) - 1)
    whole = 0  # how many of the lengths are those of items shorter than n
    for j in range(len(lengths)):
        whole += lengths[j] < n
    out = np.empty((64, 6), np.int64)
    k = 0
    for row in range(len(offsets) - 1):
        i, stop = np.int64(offsets[row]), np.int64(offsets[row + 1])
        words = 0
        while i < stop:
            start, i, h = next_word(data, i, stop, flags, lower)
            if i == start:
                break
            starts[words] = start
            words += 1
            prefix[words] = prefix[words - 1] * _BASE + mix64(h)
            # the short lengths only where the words before could end such an item
            low = whole
            if whole and words >= lengths[0]:
                x = mix64(prefix[words] - prefix[words - lengths[0]] * powers[0])
                b = x & gate_mask
                if (gate[np.int64(b >> U(6))] >> (b & U(63))) & U(1):
                    low = 0
            for j in range(low, len(lengths)):
                length = lengths[j]
                if words < length:
                    break
                x = mix64((prefix[words] - prefix[words - length] * powers[j]) ^ (U(length) * GOLDEN))
                b = x & within
                if not (bits[np.int64(b >> U(6))] >> (b & U(63))) & U(1):
                    continue
                at = np.int64(x >> U(40)) & mask
                while slots[at] >= 0 and hashes[slots[at]] != x:
                    at = (at + 1) & mask
                if slots[at] < 0:
                    continue
                if k == len(out):
                    out = np.concatenate((out, np.empty_like(out)))
                out[k, 0], out[k, 1] = row, slots[at]
                out[k, 2], out[k, 3] = starts[words - length], i
                out[k, 4], out[k, 5] = words - length, words
                k += 1
    return out[:k]


def find_matches(texts: pa.Array, grams: Grams) -> np.ndarray:
    """Every occurrence of an entry of `grams`: int64 [k, 6] of (row, entry, first byte, byte behind, first word, word behind),
    bytes of the array's buffer, ordered by row and end."""
    return _matches(
        *string_buffers(texts), *tables(), grams.n, grams.lengths, grams.powers, grams.bits, grams.gate, grams.slots,
        grams.hashes,
    )  # fmt: skip
