"""The words of `transforms.unicode.next_word`, faster where text is plain: most words are a few ASCII bytes between others.

Eight bytes are classified at once in one 64-bit number (SIMD within a register: Lamport 1975, "Multiple byte processing with
full-word instructions"); a Chinese character that no combining mark can follow is a word without a look at the tables.
All other words, and where a word ends that touches other characters, are left to `next_word`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from transforms.hashing import GOLDEN, U, load64
from transforms.unicode import next_word

_HIGH = U(0x8080808080808080)
_LOW7 = U(0x7F7F7F7F7F7F7F7F)
_ONES = U(0x0101010101010101)
_CASE = _ONES * U(0x20)
_UNDERSCORE = _ONES * U(0x5F)
# added to a byte below 0x80, these set its high bit from that character on
_FROM_A, _FROM_BRACE = _ONES * U(0x80 - 0x61), _ONES * U(0x80 - 0x7B)
_FROM_0, _FROM_COLON = _ONES * U(0x80 - 0x30), _ONES * U(0x80 - 0x3A)
_MULTIPLIER = U(0xBF58476D1CE4E5B9)


@intrinsic
def _trailing_zeros(typingctx: Any, x: Any) -> Any:
    """Zero bits below the lowest one of a uint64; 64 for 0."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), codegen


@njit(inline="always")
def _step(h: Any, eight: Any) -> Any:
    """The hash of a word, taken on by eight bytes of it; by the last, fewer than eight and perhaps none, filled with 0."""
    h = (h ^ eight) * GOLDEN
    h = (h ^ (h >> U(32))) * _MULTIPLIER
    return h ^ (h >> U(29))


@njit(inline="always")
def next_hashed(data: Any, i: int, stop: int, flags: Any, lower: Any) -> tuple[int, int, Any]:
    """(start, end, hash) of the first word in data[i:stop], as `next_word` but for another, well mixed hash; (stop, stop,
    0) if none. Text in NFC: then no character but A to Z has an ASCII lower case."""
    while i < stop and data[i] < 0x80 and not flags[data[i]] & 1:
        i += 1
    if i == stop:
        return stop, stop, U(0)
    b = data[i]
    if b < 0x80:
        at = i
        h = U(0)
        while at + 8 <= len(data):
            x = load64(data, at)
            ascii = x & _LOW7
            folded = ascii | _CASE
            letters = (folded + _FROM_A) & ~(folded + _FROM_BRACE) & _HIGH & ~x
            others = ((ascii + _FROM_0) & ~(ascii + _FROM_COLON)) | ~((ascii ^ _UNDERSCORE) + _LOW7)
            ends = ~(letters | (others & ~x)) & _HIGH
            eight = x | (letters >> U(2))
            bits = _trailing_zeros(ends) & U(0x78)
            if stop - at < 8 and np.int64(bits) >= 8 * (stop - at):
                bits = U(8 * (stop - at))
            elif ends == U(0):
                h = _step(h, eight)
                at += 8
                continue
            elif (x >> bits) & U(0x80):
                break  # a character follows that may belong to the word
            return i, at + np.int64(bits >> U(3)), _step(h, eight & ((U(1) << bits) - U(1)))
    elif b >= 0xE5 and b <= 0xE8 and i + 3 < stop:
        c = data[i + 3]
        if c < 0x80 or (c >= 0xE4 and c <= 0xE9):
            return i, i + 3, _step(U(0), U(b) | (U(data[i + 1]) << U(8)) | (U(data[i + 2]) << U(16)))
    start, end, h = next_word(data, i, stop, flags, lower)
    # the same word must have the same hash wherever it stands
    plain = end - start == 3 and data[start] >= 0xE5 and data[start] <= 0xE8
    if not plain:
        plain = True
        for j in range(start, end):
            plain = plain and data[j] < 0x80
    if plain:
        h = U(0)
        eight = U(0)
        shift = U(0)
        for j in range(start, end):
            b = data[j]
            eight |= U(lower[b] if b < 0x80 else b) << shift
            shift += U(8)
            if shift == U(64):
                h = _step(h, eight)
                eight = shift = U(0)
        return start, end, _step(h, eight)
    return start, end, (h ^ (h >> U(31))) * GOLDEN
