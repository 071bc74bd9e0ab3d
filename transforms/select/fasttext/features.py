"""The rows of a fastText model's input matrix that a text has: its words, their subwords, and hashed word n-grams.

Tokens are separated by spaces, tabs, line feeds, carriage returns, vertical tabs, form feeds and zero bytes. fastText reads one
line, so a line feed is a space here, and the token `</s>` ends each text.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.transforms.hashing import U
from corpusmill.transforms.kernels.njit import njit

LABEL = np.frombuffer(b"__label__", np.uint8)
_MORE = U(116049371)
"""fastText's multiplier of word n-grams."""


@njit(nogil=True, cache=True)
def entries(data: Any, at: int, number: int, starts: Any, ends: Any, counts: Any, kinds: Any) -> int:
    """Parse `number` entries of a dictionary from data[at:]: a word that a zero byte ends, its count (int64), its kind (int8).

    Returns:
        The place behind the last one; -1 where the data end before.
    """
    for i in range(number):
        starts[i] = at
        while at < len(data) and data[at]:
            at += 1
        if at + 10 > len(data):
            return -1
        ends[i] = at
        count = U(0)
        for j in range(8):
            count |= U(data[at + 1 + j]) << U(8 * j)
        counts[i] = np.int64(count)
        kinds[i] = data[at + 9]
        at += 10
    return at


@njit(inline="always")
def _hashed(data: Any, start: int, stop: int) -> Any:
    """The 32-bit FNV-1a hash of data[start:stop] in a uint64. A byte from 0x80 on is negative, as in fastText."""
    h = U(2166136261)
    for i in range(start, stop):
        byte = U(data[i])
        if byte >= U(0x80):
            byte |= U(0xFFFFFF00)
        h = ((h ^ byte) * U(16777619)) & U(0xFFFFFFFF)
    return h


@njit(inline="always")
def _find(data: Any, start: int, stop: int, h: Any, names: Any, starts: Any, ends: Any, index: Any) -> int:
    """The number of the dictionary's entry that is data[start:stop]; -1 without one. index: from `build_index`."""
    mask = len(index) - 1
    at = np.int64(h) & mask
    while index[at] >= 0:
        entry = index[at]
        if ends[entry] - starts[entry] == stop - start:
            same = True
            for j in range(stop - start):
                if names[starts[entry] + j] != data[start + j]:
                    same = False
                    break
            if same:
                return entry
        at = (at + 1) & mask
    return -1


@njit(nogil=True, cache=True)
def build_index(names: Any, starts: Any, ends: Any, index: Any) -> None:
    """Fill `index`, int32 [a power of two], all -1, with the numbers of the entries by their hash."""
    mask = len(index) - 1
    for entry in range(len(starts)):
        at = np.int64(_hashed(names, starts[entry], ends[entry])) & mask
        while index[at] >= 0:
            at = (at + 1) & mask
        index[at] = entry


@njit(inline="always")
def _push(slots: Any, count: int, words: int, bucket: int, pruned: Any) -> int:
    """Append the row of a hashed n-gram. pruned: the new number of each bucket, -1 for none; empty where all are kept."""
    kept = pruned[bucket] if len(pruned) else bucket
    if kept < 0:
        return count
    slots[count] = words + kept
    return count + 1


@njit(inline="always")
def _subwords(
    data: Any,
    start: int,
    stop: int,
    shortest: int,
    longest: int,
    words: int,
    buckets: int,
    pruned: Any,
    token: Any,
    slots: Any,
    count: int,
) -> int:
    """Append the rows of the runs of `shortest` to `longest` characters of `<token>`."""
    n = stop - start + 2
    token[0] = np.uint8(60)
    for j in range(stop - start):
        token[1 + j] = data[start + j]
    token[n - 1] = np.uint8(62)
    for i in range(n):
        if token[i] & 0xC0 == 0x80:
            continue
        j = i
        characters = 1
        h = U(2166136261)
        while j < n and characters <= longest:
            more = True
            while more:
                byte = U(token[j])
                if byte >= U(0x80):
                    byte |= U(0xFFFFFF00)
                h = ((h ^ byte) * U(16777619)) & U(0xFFFFFFFF)
                j += 1
                more = j < n and token[j] & 0xC0 == 0x80
            if characters >= shortest and not (characters == 1 and (i == 0 or j == n)):
                count = _push(slots, count, words, np.int64(h % U(buckets)), pruned)
            characters += 1
    return count


@njit(inline="always")
def _signed(h: Any) -> Any:
    """A 32-bit hash as fastText keeps it: a signed number, in 64 bits."""
    return h | U(0xFFFFFFFF00000000) if h >= U(0x80000000) else h


@njit(nogil=True, cache=True)
def mean_rows(
    offsets: Any,
    data: Any,
    label: Any,
    names: Any,
    starts: Any,
    ends: Any,
    index: Any,
    words: int,
    buckets: int,
    order: int,
    shortest: int,
    longest: int,
    pruned: Any,
    room: int,
    table: Any,
    out: Any,
) -> None:
    """The mean of each text's rows in `table`: out float64 [n, d]; zeros for a text without any.

    words: number of the dictionary's words, whose rows come first; order: longest n-gram in words; shortest, longest: characters
    of subwords, 0 for none; room: of rows, for the longest text.
    """
    longest_text = np.int64(0)
    for row in range(len(offsets) - 1):
        longest_text = max(longest_text, np.int64(offsets[row + 1]) - np.int64(offsets[row]))
    slots, hashes = np.empty(room, np.int64), np.empty(longest_text + 2, np.uint64)
    token = np.empty(longest_text + 8, np.uint8)
    end_token = np.empty(4, np.uint8)
    end_token[0], end_token[1], end_token[2], end_token[3] = 60, 47, 115, 62
    end_hash = _hashed(end_token, 0, 4)
    end_entry = _find(end_token, 0, 4, end_hash, names, starts, ends, index)
    width = table.shape[1]
    for row in range(len(offsets) - 1):
        at, stop = np.int64(offsets[row]), np.int64(offsets[row + 1])
        count = tokens = 0
        ended = False
        while at < stop:
            c = data[at]
            if c == 32 or (c >= 9 and c <= 13) or c == 0:
                at += 1
                continue
            start = at
            h = U(2166136261)
            while at < stop:
                c = data[at]
                if c == 32 or (c >= 9 and c <= 13) or c == 0:
                    break
                byte = U(c)
                if byte >= U(0x80):
                    byte |= U(0xFFFFFF00)
                h = ((h ^ byte) * U(16777619)) & U(0xFFFFFFFF)
                at += 1
            entry = _find(data, start, at, h, names, starts, ends, index)
            if entry >= words:
                continue
            if entry < 0 and at - start >= len(label):
                named = True
                for j in range(len(label)):
                    if data[start + j] != label[j]:
                        named = False
                        break
                if named:
                    continue
            ended = at - start == 4
            for j in range(4 if ended else 0):
                ended = ended and data[start + j] == end_token[j]
            if entry >= 0:
                slots[count] = entry
                count += 1
            if longest > 0 and not ended:
                count = _subwords(data, start, at, shortest, longest, words, buckets, pruned, token, slots, count)
            hashes[tokens] = h
            tokens += 1
            if ended:
                break
        if not ended:
            if end_entry >= 0 and end_entry < words:
                slots[count] = end_entry
                count += 1
            hashes[tokens] = end_hash
            tokens += 1
        if buckets > 0:
            for i in range(tokens):
                h = _signed(hashes[i])
                for j in range(i + 1, min(i + order, tokens)):
                    h = h * _MORE + _signed(hashes[j])
                    count = _push(slots, count, words, np.int64(h % U(buckets)), pruned)
        for k in range(width):
            out[row, k] = 0.0
        for i in range(count):
            slot = slots[i]
            for k in range(width):
                out[row, k] += table[slot, k]
        for k in range(width):
            out[row, k] /= max(count, 1)
