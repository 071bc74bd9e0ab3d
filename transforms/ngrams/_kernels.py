"""Kernels of n-gram models: symbols of texts, look-up and placing of n-grams in a table, and lines of ARPA files.

An n-gram has a 64-bit hash that grows from its last symbol to its first, so the hash of a longer n-gram with the same end
follows from that of the shorter. Its slot in the table follows from the hash's upper half; an entry holds the lower half, a
code of the probability and a code of the back-off weight: (32, 16, 16) bits. Entries lie in the order of their hashes, in the
first free slot from their own on (linear probing), so that a table follows from its n-grams alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.transforms.hashing import GOLDEN, U, mix64
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.words import hash_words, scratch

TOP = 0xFFFFFFF0
"""Symbols from here on are not those of a text."""
BEGIN, END, UNKNOWN, PAD = TOP + 1, TOP + 2, TOP + 3, TOP + 15


@njit(inline="always")
def _blank(byte: Any) -> bool:
    return byte == 32 or (byte >= 9 and byte <= 13)


@njit(inline="always")
def _piece(data: Any, begin: int, end: int) -> Any:
    """64-bit hash of the bytes data[begin:end]."""
    h = U(end - begin)
    eight = U(0)
    shift = U(0)
    for i in range(begin, end):
        eight |= U(data[i]) << shift
        shift += U(8)
        if shift == U(64):
            h = mix64((h + GOLDEN) ^ eight)
            eight = shift = U(0)
    return mix64((h + GOLDEN) ^ eight)


@njit(inline="always")
def _symbol(h: Any) -> Any:
    return np.uint32(min(h >> U(32), U(TOP - 1)))


@njit(nogil=True, cache=True)
def word_symbols(offsets: Any, data: Any, flags: Any, lower: Any, ends: Any, out: Any) -> None:
    """The words of each text (`hash_words`) as symbols; `ends` int64 [n + 1]."""
    folded, edges, words = scratch(offsets)
    at = 0
    for row in range(len(offsets) - 1):
        n = hash_words(data, offsets[row], offsets[row + 1], flags, lower, folded, edges, words)
        for k in range(n):
            out[at] = _symbol(words[k])
            at += 1
        ends[row + 1] = at


@njit(nogil=True, cache=True)
def piece_symbols(offsets: Any, data: Any, ends: Any, out: Any) -> None:
    """What ASCII white space separates in each text, as symbols; `ends` int64 [n + 1]."""
    at = 0
    for row in range(len(offsets) - 1):
        i = np.int64(offsets[row])
        stop = np.int64(offsets[row + 1])
        while i < stop:
            while i < stop and _blank(data[i]):
                i += 1
            begin = i
            while i < stop and not _blank(data[i]):
                i += 1
            if i > begin:
                out[at] = _symbol(_piece(data, begin, i))
                at += 1
        ends[row + 1] = at


@njit(nogil=True, cache=True)
def piece_hashes(offsets: Any, data: Any, out: Any) -> None:
    """The hash of each string, as `arpa_lines` hashes a word."""
    for row in range(len(offsets) - 1):
        out[row] = _piece(data, np.int64(offsets[row]), np.int64(offsets[row + 1]))


@njit(inline="always")
def find(table: Any, slots: Any, h: Any) -> Any:
    """The entry of the n-gram of hash `h`, or 0."""
    at = np.int64(((h >> U(32)) * slots) >> U(32))
    mark = h & U(0xFFFFFFFF)
    if mark == U(0):
        mark = U(1)
    while True:
        entry = table[at]
        if entry == U(0) or entry >> U(32) == mark:
            return entry
        at += 1


@njit(nogil=True, cache=True)
def score(offsets: Any, symbols: Any, order: int, table: Any, slots: int, levels: Any, out: Any) -> None:
    """Sums of the natural logarithms of the probabilities of each document's symbols and its end: out float64 [n].

    levels: float64 [order + 1, 4]: (largest log probability, step of its code, largest log back-off, step) of each length.
    """
    size = U(slots)
    longest: Any = np.int64(0)
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    mixed = np.empty(longest + 2, np.uint64)
    backs = np.zeros(order + 1, np.float64)
    begin = (U(BEGIN) + U(1)) * GOLDEN
    end = (U(END) + U(1)) * GOLDEN
    unknown = (U(UNKNOWN) + U(1)) * GOLDEN
    first = find(table, size, mix64(begin))
    first_back = levels[1, 2] - levels[1, 3] * np.float64(first & U(0xFFFF))
    for row in range(len(offsets) - 1):
        start = offsets[row]
        n = offsets[row + 1] - start
        mixed[0] = begin
        backs[1] = first_back
        known = 1 if order > 1 else 0
        total = 0.0
        for i in range(1, n + 2):
            m = end if i == n + 1 else (U(symbols[start + i - 1]) + U(1)) * GOLDEN
            h = mix64(m)
            entry = find(table, size, h)
            if entry == U(0):
                m = unknown
                h = mix64(m)
                entry = find(table, size, h)
            mixed[i] = m
            k = 1
            # back-off weights of the contexts that are longer than the longest n-gram that is known
            waiting = 0.0
            probability = levels[1, 0] - levels[1, 1] * np.float64((entry >> U(16)) & U(0xFFFF))
            back = levels[1, 2] - levels[1, 3] * np.float64(entry & U(0xFFFF))
            while k <= known:
                h = mix64(h ^ mixed[i - k])
                longer = find(table, size, h)
                if longer == U(0):
                    break
                backs[k] = back
                k += 1
                probability = levels[k, 0] - levels[k, 1] * np.float64((longer >> U(16)) & U(0xFFFF))
                back = levels[k, 2] - levels[k, 3] * np.float64(longer & U(0xFFFF))
            for j in range(k, known + 1):
                waiting += backs[j]
            backs[k if k < order else 0] = back
            known = min(k, order - 1)
            total += probability + waiting
        out[row] = total


@njit(nogil=True, cache=True)
def place(hashes: Any, codes: Any, slots: int, base: int, free: Any, out: Any) -> Any:
    """Write entries to out, the slots from `base` on, in the order of their hashes; `free`: the first slot that may be free.

    codes: uint64 [n], the code of the probability << 16 and that of the back-off weight. Returns the next `free`.
    """
    for i in range(len(hashes)):
        h = hashes[i]
        at: Any = max(np.int64(((h >> U(32)) * U(slots)) >> U(32)), free)
        mark = h & U(0xFFFFFFFF)
        if mark == U(0):
            mark = U(1)
        out[at - base] = (mark << U(32)) | codes[i]
        free = at + 1
    return free


@njit(inline="always")
def _number(data: Any, begin: int, end: int) -> float:
    """The decimal number data[begin:end]; nan if it is none."""
    i = begin
    sign = 1.0
    if i < end and (data[i] == 45 or data[i] == 43):
        sign = -1.0 if data[i] == 45 else 1.0
        i += 1
    value = 0.0
    scale = 0
    digits = 0
    point = False
    while i < end:
        b = data[i]
        if b >= 48 and b <= 57:
            value = value * 10.0 + np.float64(b - 48)
            digits += 1
            scale += 1 if point else 0
        elif b == 46 and not point:
            point = True
        else:
            break
        i += 1
    if digits == 0:
        return np.nan
    power: Any = 0
    if i < end and (data[i] == 101 or data[i] == 69):
        i += 1
        minus = False
        if i < end and (data[i] == 45 or data[i] == 43):
            minus = data[i] == 45
            i += 1
        if i == end:
            return np.nan
        while i < end and data[i] >= 48 and data[i] <= 57:
            power = min(power * 10 + np.int64(data[i] - 48), 400)
            i += 1
        power = -power if minus else power
    if i != end:
        return np.nan
    return sign * value * 10.0 ** np.float64(power - scale)


@njit(nogil=True, cache=True)
def arpa_lines(data: Any, start: int, stop: int, k: int, numbers: Any, words: Any) -> tuple[int, int, int]:
    """Read lines `log10 p, k words, log10 back-off or nothing`, up to a blank line or one that begins with a backslash.

    numbers: float64 [m, 2]; words: uint64 [m, k], hashes. Returns (lines, position behind them, 0 or 1 + the number of the first
    bad line from 0).
    """
    at = 0
    i = start
    while i < stop and at < len(numbers):
        end = i
        while end < stop and data[end] != 10:
            end += 1
        field = 0
        j = i
        if data[i] == 92:
            return at, i, 0
        numbers[at, 1] = 0.0
        while j < end:
            while j < end and _blank(data[j]):
                j += 1
            begin = j
            while j < end and not _blank(data[j]):
                j += 1
            if j == begin:
                break
            if field == 0 or field == k + 1:
                numbers[at, min(field, 1)] = _number(data, begin, j)
            elif field <= k:
                words[at, field - 1] = _piece(data, begin, j)
            field += 1
        if field == 0:
            return at, min(end + 1, stop), 0
        if field < k + 1 or field > k + 2 or np.isnan(numbers[at, 0]) or np.isnan(numbers[at, 1]):
            return at, i, at + 1
        at += 1
        i = min(end + 1, stop)
    return at, i, 0
