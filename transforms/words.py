"""The words of `corpusmill.transforms.unicode.next_word`, with a fast path for ASCII text.

`hash_words` makes two passes over a text. The first lower-cases 64 bytes at a time and classifies them in one bit mask; words
begin and end where its bits change (Langdale and Lemire 2019, "Parsing gigabytes of JSON per second", section 3.1). The second
hashes each word eight bytes at a time, mostly without branches. Runs with a byte beyond ASCII go to `next_hashed`, which goes
from word to word and classifies eight bytes in one 64-bit number (SIMD within a register: Lamport 1975, "Multiple byte
processing with full-word instructions"). A Chinese character that no combining mark can follow is a word without a look at the
tables. `next_word` handles all other words, and words whose end touches a character beyond ASCII.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.transforms.hashing import GOLDEN, U
from corpusmill.transforms.kernels.bits import HIGH_BITS, ONES, load64, trailing_zeros
from corpusmill.transforms.kernels.njit import intrinsic, njit
from corpusmill.transforms.unicode import next_word

_LOW7 = U(0x7F7F7F7F7F7F7F7F)
_CASE = ONES * U(0x20)
_UNDERSCORE = ONES * U(0x5F)
# added to a byte below 0x80, these set its high bit from that character on
_FROM_A, _FROM_BRACE = ONES * U(0x80 - 0x61), ONES * U(0x80 - 0x7B)
_FROM_0, _FROM_COLON = ONES * U(0x80 - 0x30), ONES * U(0x80 - 0x3A)
_MULTIPLIER = U(0xBF58476D1CE4E5B9)


@intrinsic
def _fold64(typingctx: Any, data: Any, at: Any, folded: Any, to: Any) -> Any:
    """Copy data[at : at + 64] to folded[to : to + 64] with A to Z in lower case. Returns a mask of the bytes that are 0-9, A-Z,
    a-z, _ or beyond ASCII, the first in bit 0. uint8 arrays; the caller guarantees that the bytes exist."""
    from llvmlite import ir
    from numba import types

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        many = ir.VectorType(ir.IntType(8), 64)

        def each(value: int) -> Any:
            return ir.Constant(many, [value] * 64)

        def pointer(array: Any, ty: Any, index: Any) -> Any:
            view = context.make_array(ty)(context, builder, array)
            return builder.bitcast(builder.gep(view.data, [index]), many.as_pointer())

        def between(x: Any, first: str, count: int) -> Any:
            return builder.icmp_unsigned("<", builder.sub(x, each(ord(first))), each(count))

        x = builder.load(pointer(args[0], sig.args[0], args[1]), align=1)
        upper = between(x, "A", 26)
        small = builder.or_(x, builder.select(upper, each(0x20), each(0)))
        builder.store(small, pointer(args[2], sig.args[2], args[3]), align=1)
        inside = builder.or_(between(small, "a", 26), between(x, "0", 10))
        inside = builder.or_(inside, builder.icmp_unsigned("==", x, each(ord("_"))))
        inside = builder.or_(inside, builder.icmp_unsigned(">=", x, each(0x80)))
        return builder.bitcast(inside, ir.IntType(64))

    return types.uint64(data, types.int64, folded, types.int64), codegen


@njit(inline="always")
def _step(h: Any, eight: Any) -> Any:
    """The hash `h` of a word, continued by its next eight bytes; the last ones are filled up with 0."""
    h = (h ^ eight) * GOLDEN
    h = (h ^ (h >> U(32))) * _MULTIPLIER
    return h ^ (h >> U(29))


@njit(inline="always")
def next_hashed(data: Any, i: int, stop: int, flags: Any, lower: Any) -> tuple[int, Any, Any]:
    """(start, end, hash) of the first word in data[i:stop]; (stop, stop, 0) if there is none.

    As `next_word`, with another, well mixed hash. The text must be in NFC: then only A to Z have an ASCII lower case.
    """
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
            letters = (folded + _FROM_A) & ~(folded + _FROM_BRACE) & HIGH_BITS & ~x
            others = ((ascii + _FROM_0) & ~(ascii + _FROM_COLON)) | ~((ascii ^ _UNDERSCORE) + _LOW7)
            ends = ~(letters | (others & ~x)) & HIGH_BITS
            eight = x | (letters >> U(2))
            bits = trailing_zeros(ends) & U(0x78)
            if stop - at < 8 and np.int64(bits) >= 8 * (stop - at):
                bits = U(8 * (stop - at))
            elif ends == U(0):
                h = _step(h, eight)
                at += 8
                continue
            elif (x >> bits) & U(0x80):
                break  # the next character may belong to the word
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


@njit(inline="always")
def hash_each(data: Any, i: int, stop: int, flags: Any, lower: Any, words: Any, count: int) -> int:
    """Append the hashes of the words in data[i:stop] (`next_hashed`) to words[:count]; returns the new count."""
    while True:
        begin, i, word = next_hashed(data, i, stop, flags, lower)
        if begin == stop:
            return count
        words[count] = word
        count += 1


@njit(inline="always")
def scratch(offsets: Any) -> tuple[Any, Any, Any]:
    """Buffers of `hash_words` for the longest of the texts: (folded uint8, edges int32, words uint64)."""
    longest = 0
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    return np.empty(longest + 192, np.uint8), np.empty(longest + 80, np.int32), np.empty(longest + 1, np.uint64)


@njit(inline="always")
def word_edges(data: Any, start: int, stop: int, folded: Any, edges: Any) -> int:
    """Find the runs of word characters and of characters beyond ASCII in data[start:stop].

    Writes begin, end, begin, ... relative to `start` to `edges` and returns their number; writes the text with A to Z in lower
    case to `folded`. Both buffers are those of `scratch`.
    """
    size = np.int64(stop) - np.int64(start)
    # the last, incomplete block is copied to the end of `folded` and filled up with zeros
    tail = size - size % 64
    last = len(folded) - 64
    for i in range(64):
        folded[last + i] = data[start + tail + i] if tail + i < size else np.uint8(0)
    n = 0
    open_ = U(0)
    for at in range(0, tail + 1, 64):
        if at < tail:
            inside = _fold64(data, np.int64(start) + at, folded, np.int64(at))
        else:
            inside = _fold64(folded, np.int64(last), folded, np.int64(at))
        changes = inside ^ ((inside << U(1)) | open_)
        open_ = inside >> U(63)
        while changes:
            edges[n] = at + np.int64(trailing_zeros(changes))
            changes &= changes - U(1)
            n += 1
    return n


@njit(inline="always")
def hash_run(folded: Any, begin: int, end: int) -> tuple[Any, bool]:
    """(hash as of `next_hashed`, whether the run of `word_edges` is one ASCII word). The hash is valid only if it is."""
    at = begin
    high = h = U(0)
    x = load64(folded, at)
    while end - at >= 8:
        high |= x
        h = _step(h, x)
        at += 8
        x = load64(folded, at)
    x &= (U(1) << U(8 * (end - at))) - U(1)
    return _step(h, x), (high | x) & HIGH_BITS == U(0)


@njit(inline="always")
def hash_words(data: Any, start: int, stop: int, flags: Any, lower: Any, folded: Any, edges: Any, words: Any) -> int:
    """Write the hashes of the words in data[start:stop] (`next_hashed`) to `words`; returns their number. Buffers: `scratch`."""
    n = word_edges(data, start, stop, folded, edges)
    count = 0
    for k in range(0, n, 2):
        begin, end = int(edges[k]), int(edges[k + 1])
        h, plain = hash_run(folded, begin, end)
        if plain:
            words[count] = h
            count += 1
        else:
            count = hash_each(data, start + begin, start + end, flags, lower, words, count)
    return count
