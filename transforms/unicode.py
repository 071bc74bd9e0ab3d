"""Code points and words in numba kernels, over UTF-8 bytes.

A **word** is a maximal run of `\\w` characters (Python's definition: letters, digits, underscore) with the combining marks
that follow them. A character of a script written without spaces (Han, kana, Thai, Lao, Khmer, Myanmar) is a word of its
own, so that everything that cuts text works for Chinese and Japanese.

Tables are indexed by code point, built from `unicodedata` (0.05 CPU s) and kept beside the compiled kernels.
"""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from typing import Any

import numpy as np

from corpusmill.transforms import kernel_digest
from corpusmill.transforms.hashing import GOLDEN, U
from corpusmill.transforms.kernels import cache_files
from corpusmill.transforms.kernels.bits import HIGH_BITS, load64
from corpusmill.transforms.kernels.njit import njit

WORD, MARK, ALONE, SPACE, UPPER, PUNCT, NFC_CHECK, ALPHA, DIGIT = 1, 2, 4, 8, 16, 32, 64, 128, 256
"""Flags of a code point: word character; combining mark (continues a word, never starts one); a word of its own;
white space; has another lower case; punctuation; text with it may not be in NFC; letter; decimal digit."""

_ALONE = (
    (0x0E00, 0x0E7F), (0x0E80, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x2E80, 0x2FDF), (0x3005, 0x3007),
    (0x3040, 0x30FF), (0x3100, 0x312F), (0x31A0, 0x31BF), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x1AFF0, 0x1B16F), (0x20000, 0x323AF),
)  # fmt: skip
_JAMO = ((0x1160, 0x11FF),)


@functools.cache
def tables() -> tuple[np.ndarray, np.ndarray]:
    """(flags uint16, lower int32), both [0x110000]: the flags of each code point and its simple lower case."""
    # with the version of Python, whose patterns and lower case the tables come from
    name = f"unicode-{unicodedata.unidata_version}-{sys.hexversion:x}-{kernel_digest()}"
    content = cache_files.read(name)
    packed = _packed(*_tables()) if content is None else np.frombuffer(content, np.int32)
    if content is None:
        cache_files.write(name, packed.tobytes())
    count = packed[0]
    begins, values, lower_at, lower_to = np.split(packed[1:], [count, 2 * count, (2 * count + len(packed) - 1) // 2])
    flags = np.repeat(values.astype(np.uint16), np.diff(begins, append=0x110000))
    lower = np.arange(0x110000, dtype=np.int32)
    lower[lower_at] = lower_to
    flags.flags.writeable = lower.flags.writeable = False
    return flags, lower


def _packed(flags: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Tables as int32: number of runs of equal flags, their begins, their flags; code points with a lower case, the lower cases."""
    begins = np.append(0, np.flatnonzero(flags[1:] != flags[:-1]) + 1)
    points = np.flatnonzero(lower != np.arange(0x110000))
    return np.concatenate([[len(begins)], begins, flags[begins], points, lower[points]]).astype(np.int32)


def _tables() -> tuple[np.ndarray, np.ndarray]:
    flags = np.zeros(0x110000, np.uint16)
    # nothing is assigned between plane 3 and the tags; behind the variation selectors there is only private use
    points = _points((0, 0xD800), (0xE000, 0x40000), (0xE0000, 0xE01F0))
    everything = _string(points)

    def mark(pattern: str, flag: int) -> None:
        for m in re.finditer(pattern, everything):
            flags[points[m.start() : m.end()]] |= flag

    mark(r"\w+", WORD)
    mark(r"[^\W\d_]+", ALPHA)
    mark(r"\d+", DIGIT)
    mark(r"\s+", SPACE)
    lower = np.arange(0x110000, dtype=np.int32)
    # cased letters, marks and punctuation lie below 0x20000, except tags and variation selectors; Han, Hangul and Tangut
    # have none
    few = _points((0, 0x3400), (0xA000, 0xAC00), (0xD7A4, 0xD800), (0xE000, 0x17000), (0x18D00, 0x20000))
    few = np.concatenate([few, points[points >= 0xE0000]])
    chars = _string(few)
    for c, category in zip(few.tolist(), map(unicodedata.category, chars)):
        if category[0] == "M":
            # variation selectors and enclosing marks belong to symbols, which are no words
            joins = category != "Me" and not 0xFE00 <= c <= 0xFE0F and c < 0xE0000
            flags[c] = (int(flags[c]) & ~WORD) | (MARK if joins else 0) | NFC_CHECK
        elif category[0] == "P":
            flags[c] |= PUNCT
    for i in range(0, len(few), 64):
        block = chars[i : i + 64]
        if block.lower() != block:
            for c, char, small in zip(few[i : i + 64].tolist(), block, map(str.lower, block)):
                if small != char and len(small) == 1:
                    lower[c] = ord(small)
                    flags[c] |= UPPER
    # parts of a normalised string are normalised: characters are checked one by one only in other blocks
    for i in range(0, len(everything), 64):
        block = everything[i : i + 64]
        if not unicodedata.is_normalized("NFC", block):
            for c, char in zip(points[i : i + 64].tolist(), block):
                if not unicodedata.is_normalized("NFC", char):
                    flags[c] |= NFC_CHECK
    for first, last in _JAMO:
        flags[first : last + 1] |= NFC_CHECK
    flags[0xF900:0xFB00] |= NFC_CHECK
    flags[0x2F800:0x2FA20] |= NFC_CHECK
    for first, last in _ALONE:
        part = flags[first : last + 1]
        part[(part & WORD) != 0] |= ALONE
    return flags, lower


def _points(*ranges: tuple[int, int]) -> np.ndarray:
    """int64: the code points from the first of each pair to before the second."""
    return np.concatenate([np.arange(first, end) for first, end in ranges])


def _string(points: np.ndarray) -> str:
    return points.astype("<u4").tobytes().decode("utf-32-le")


@njit(inline="always")
def decode(data: Any, i: int, stop: int) -> tuple[Any, int]:
    """(code point, position behind it) of the UTF-8 character at data[i]; the text is valid UTF-8."""
    b = np.int32(data[i])
    if b < 0x80:
        return b, i + 1
    if b < 0xE0:
        return ((b & 0x1F) << 6) | (np.int32(data[i + 1]) & 0x3F), i + 2
    if b < 0xF0:
        return ((b & 0x0F) << 12) | ((np.int32(data[i + 1]) & 0x3F) << 6) | (np.int32(data[i + 2]) & 0x3F), i + 3
    return (
        ((b & 0x07) << 18)
        | ((np.int32(data[i + 1]) & 0x3F) << 12)
        | ((np.int32(data[i + 2]) & 0x3F) << 6)
        | (np.int32(data[i + 3]) & 0x3F)
    ), i + 4


@njit(inline="always")
def previous(data: Any, start: int, i: int) -> tuple[int, int]:
    """(code point, its position) of the character that ends at position `i` > start."""
    k = i - 1
    while k > start and (data[k] & 0xC0) == 0x80:
        k -= 1
    c, _ = decode(data, k, i)
    return c, k


@njit(nogil=True, cache=True)
def strip(data: Any, start: int, stop: int, flags: Any) -> tuple[int, int]:
    """data[start:stop] without white space at either end, as (start, stop)."""
    while start < stop:
        c, i = decode(data, start, stop)
        if not flags[c] & SPACE:
            break
        start = i
    while stop > start:
        c, i = previous(data, start, stop)
        if not flags[c] & SPACE:
            break
        stop = i
    return start, stop


@njit(inline="always")
def skip_blank_lines(data: Any, i: int, stop: int) -> int:
    """Where the first line begins that is not ASCII white space alone; a line begins at data[i]. `stop` if there is none."""
    k = i
    while k < stop and (data[k] == 32 or 9 <= data[k] <= 13):
        k += 1
        if data[k - 1] == 10:
            i = k
    return stop if k == stop else i


@njit(inline="always")
def next_word(data: Any, i: int, stop: int, flags: Any, lower: Any) -> tuple[int, int, Any]:
    """(start, end, hash) of the first word in data[i:stop], lower-cased in the hash only; (stop, stop, 0) if none.

    The hash is a 64-bit Fowler-Noll-Vo style product over lower-cased code points; mix it before using its low bits.
    """
    # to the first character of a word
    start = i
    c = np.int32(0)
    while start < stop:
        c, i = decode(data, start, stop)
        if flags[c] & WORD:
            break
        start = i
    else:
        return stop, stop, U(0)
    h = (GOLDEN ^ U(lower[c])) * U(0x100000001B3)
    h ^= h >> U(29)
    alone = (flags[c] & ALONE) != 0
    end = i
    while end < stop:
        c, i = decode(data, end, stop)
        f = flags[c]
        if f & MARK:
            pass
        elif alone or not f & WORD or f & ALONE:
            break
        h = (h ^ U(lower[c])) * U(0x100000001B3)
        h ^= h >> U(29)
        end = i
    return start, end, h


@njit(nogil=True, cache=True)
def _flagged(offsets: Any, data: Any, flags: Any, nfc: bool) -> Any:
    out = np.zeros(len(offsets) - 1, np.bool_)
    for row in range(len(offsets) - 1):
        i, stop = np.int64(offsets[row]), np.int64(offsets[row + 1])
        while i < stop:
            if i + 8 <= stop and not load64(data, i) & HIGH_BITS:
                i += 8
                continue
            b = data[i]
            # most text needs no table: NFC changes nothing below U+0300 and from U+4000 to U+9FFF
            if b < 0x80:
                i += 1
            elif nfc and b < 0xCC:
                i += 2
            elif nfc and 0xE4 <= b <= 0xE9:
                i += 3
            else:
                c, i = decode(data, i, stop)
                if flags[c] & NFC_CHECK:
                    out[row] = True
                    break
    return out


def needs_nfc(offsets: np.ndarray, data: np.ndarray, flags: np.ndarray) -> np.ndarray:
    """bool [n]: rows with a character that NFC may change or compose. flags: those of `tables`."""
    rows: np.ndarray = _flagged(offsets, data, flags, True)
    return rows


def needs_check(offsets: np.ndarray, data: np.ndarray, flags: np.ndarray) -> np.ndarray:
    """bool [n]: rows with a character beyond ASCII that has NFC_CHECK in `flags`, which may be another table."""
    rows: np.ndarray = _flagged(offsets, data, flags, False)
    return rows
