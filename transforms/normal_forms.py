"""Unicode normal forms NFC and NFKC as a kernel, in linear time, only where a text may not be in its form yet.

Source: Unicode Standard Annex 15, and chapter 3.11 of the Unicode Standard (canonical ordering, composition, Hangul). The tables
come from `unicodedata`, so that results are those of `unicodedata.normalize`. CPython's own function sorts marks by insertion,
in time quadratic in their number and with the GIL held, and makes a Python string of each document.
"""

from __future__ import annotations

import functools
import unicodedata
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from corpusmill.transforms.arrow import nulls_of, string_array, string_buffers
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.unicode import MARK, NFC_CHECK, decode, needs_check, needs_nfc, tables

_LAST = 0x2FA1E
"""Behind the last code point that decomposes."""


@functools.cache
def _check_table(form: str) -> np.ndarray:
    """uint16 [0x110000] with the flag NFC_CHECK on every code point whose presence asks for a closer look."""
    flags = tables()[0]
    if form == "NFC":
        return flags
    out = flags & np.uint16(NFC_CHECK)
    for c in range(0x80, 0x32000):
        if not 0xD800 <= c < 0xE000 and not unicodedata.is_normalized("NFKC", chr(c)):
            out[c] = NFC_CHECK
    out.flags.writeable = False
    return out


@functools.cache
def _classes() -> np.ndarray:
    """uint8 [0x110000]: the canonical combining class of each code point."""
    classes = np.zeros(0x110000, np.uint8)
    for c in np.flatnonzero(tables()[0] & MARK).tolist():
        classes[c] = unicodedata.combining(chr(c))
    return classes


@functools.cache
def _decompositions(form: str) -> tuple[np.ndarray, np.ndarray]:
    """(begins int32 [_LAST + 1], code points int32): the full decomposition of c is points[begins[c] : begins[c + 1]]; it is
    empty where c stays, and for Hangul syllables."""
    full: Literal["NFD", "NFKD"] = "NFD" if form == "NFC" else "NFKD"
    lengths = np.zeros(_LAST, np.int32)
    points: list[int] = []
    for c in range(0xA0, _LAST):
        said = unicodedata.decomposition(chr(c))
        if said and (form == "NFKC" or said[0] != "<"):
            whole = unicodedata.normalize(full, chr(c))
            lengths[c] = len(whole)
            points += map(ord, whole)
    begins = np.zeros(_LAST + 1, np.int32)
    np.cumsum(lengths, out=begins[1:])
    return begins, np.array(points, np.int32)


@functools.cache
def _kinds(form: str) -> np.ndarray:
    """uint16 [0x110000]: the class of each code point; 256 if it decomposes."""
    kinds = _classes().astype(np.uint16)
    kinds[:_LAST][np.diff(_decompositions(form)[0]) > 0] = 256
    kinds[0xAC00:0xD7A4] = 256
    return kinds


@functools.cache
def _compositions() -> np.ndarray:
    """int64 [4096, 2]: a hash table of (first << 21 | second, composed character), addressed as in `_slot`; -1 where empty."""
    table = np.full((1 << 12, 2), -1, np.int64)
    for c in range(0xA0, _LAST):
        said = unicodedata.decomposition(chr(c))
        if not said or said[0] == "<" or " " not in said:
            continue
        first, second = (int(p, 16) for p in said.split())
        if unicodedata.normalize("NFC", chr(first) + chr(second)) == chr(c):
            slot = (first * 31 + second * 1021 + (first >> 7)) & 4095
            while table[slot, 0] >= 0:
                slot = (slot + 1) & 4095
            table[slot] = first << 21 | second, c
    return table


@njit(inline="always")
def _slot(first: Any, second: Any) -> Any:
    return (first * 31 + second * 1021 + (first >> 7)) & 4095


@njit(inline="always")
def _composed(first: Any, second: Any, pairs: Any) -> Any:
    """The character that two compose to, or -1."""
    if 0x1100 <= first < 0x1113 and 0x1161 <= second < 0x1176:
        return 0xAC00 + ((first - 0x1100) * 21 + (second - 0x1161)) * 28
    if 0xAC00 <= first < 0xD7A4 and (first - 0xAC00) % 28 == 0 and 0x11A7 < second < 0x11C3:
        return first + (second - 0x11A7)
    key = np.int64(first) << 21 | np.int64(second)
    slot = _slot(np.int64(first), np.int64(second))
    while pairs[slot, 0] >= 0:
        if pairs[slot, 0] == key:
            return np.int64(pairs[slot, 1])
        slot = (slot + 1) & 4095
    return np.int64(-1)


@njit(nogil=True, cache=True)
def _order(points: Any, begin: int, end: int, spare: Any) -> None:
    """Sort the marks points[begin:end] by their class, stably: a few by insertion, many by counting.

    points: code points, with their class in the bits from 21 on. spare: as long as points.
    """
    if end - begin <= 16:
        for k in range(begin + 1, end):
            c = points[k]
            j = k
            while j > begin and points[j - 1] >> 21 > c >> 21:
                points[j] = points[j - 1]
                j -= 1
            points[j] = c
        return
    places = np.zeros(257, np.int64)
    for k in range(begin, end):
        places[(points[k] >> 21) + 1] += 1
    for k in range(256):
        places[k + 1] += places[k]
    for k in range(begin, end):
        c = points[k]
        spare[begin + places[c >> 21]] = c
        places[c >> 21] += 1
    for k in range(begin, end):
        points[k] = spare[k]


@njit(nogil=True, cache=True)
def _compose(points: Any, n: int, pairs: Any) -> int:
    """Compose points[:n], with their classes and in canonical order, in place, to code points alone. Returns their new number."""
    starter = -1
    last = 0
    out = 0
    for k in range(n):
        kind: Any = np.int64(points[k]) >> 21
        c: Any = np.int64(points[k]) & 0x1FFFFF
        # a character is blocked from the starter by one between them of its own class or a higher one
        if starter >= 0 and (starter == out - 1 or (last < kind and last > 0)):
            both = _composed(np.int64(points[starter]), c, pairs)
            if both >= 0:
                points[starter] = both
                continue
        if kind == 0:
            starter = out
        last = kind
        points[out] = c
        out += 1
    return out


@njit(inline="always")
def _put(out: Any, o: int, c: Any) -> int:
    """Write a code point as UTF-8 at out[o]; returns the place behind it."""
    if c < 0x80:
        out[o] = c
        return o + 1
    if c < 0x800:
        out[o], out[o + 1] = 0xC0 | c >> 6, 0x80 | c & 0x3F
        return o + 2
    if c < 0x10000:
        out[o], out[o + 1], out[o + 2] = 0xE0 | c >> 12, 0x80 | c >> 6 & 0x3F, 0x80 | c & 0x3F
        return o + 3
    out[o], out[o + 1], out[o + 2], out[o + 3] = (
        0xF0 | c >> 18,
        0x80 | c >> 12 & 0x3F,
        0x80 | c >> 6 & 0x3F,
        0x80 | c & 0x3F,
    )
    return o + 4


@njit(nogil=True, cache=True)
def _decompose(data: Any, i: int, stop: int, kinds: Any, begins: Any, parts: Any, points: Any, spare: Any) -> int:
    """Write the decomposed characters of data[i:stop], in canonical order, with their classes. Returns their number."""
    n = marks = 0
    while i < stop:
        c, i = decode(data, i, stop)
        kind: Any = np.int32(kinds[c])
        if kind == 0:  # a starter, which stays
            if marks > 1:
                _order(points, n - marks, n, spare)
            marks = 0
            points[n] = c
            n += 1
        elif kind < 256:  # a mark
            points[n] = c | kind << 21
            n += 1
            marks += 1
        elif 0xAC00 <= c < 0xD7A4:
            if marks > 1:
                _order(points, n - marks, n, spare)
            marks = 0
            s = c - 0xAC00
            points[n], points[n + 1], points[n + 2] = 0x1100 + s // 588, 0x1161 + s % 588 // 28, 0x11A7 + s % 28
            n += 2 + (s % 28 > 0)
        else:
            for k in range(begins[c], begins[c + 1]):
                kind = np.int32(kinds[parts[k]])
                if kind == 0:
                    if marks > 1:
                        _order(points, n - marks, n, spare)
                    marks = -1
                points[n] = parts[k] | kind << 21
                n += 1
                marks += 1
    if marks > 1:
        _order(points, n - marks, n, spare)
    return n


@njit(nogil=True, cache=True)
def _encode(points: Any, n: int, out: Any, o: int) -> int:
    """Write points[:n] as UTF-8 at out[o]; returns the place behind them."""
    for k in range(n):
        o = _put(out, o, points[k])
    return o


@njit(nogil=True, cache=True)
def _differ(out: Any, first: int, stop: int, data: Any, begin: int) -> bool:
    """Whether out[first:stop] is not what `data` has from `begin` on."""
    for k in range(first, stop):
        if out[k] != data[begin + k - first]:
            return True
    return False


@njit(nogil=True, cache=True)
def _normalize(
    offsets: Any, data: Any, rows: Any, kinds: Any, begins: Any, parts: Any, pairs: Any, ends: Any
) -> tuple[Any, bool]:
    """(bytes of the texts in their form, whether any changed); ends int32 [n + 1] are their offsets. Other rows are copied.

    kinds: of `_kinds`; begins, parts: of `_decompositions`; pairs: of `_compositions`.
    """
    out = np.empty(int(offsets[-1]) - int(offsets[0]) + 64, np.uint8)
    points, spare = np.empty(256, np.int32), np.empty(256, np.int32)
    changed = False
    o = 0
    for row in range(len(offsets) - 1):
        i: Any = np.int64(offsets[row])
        stop: Any = np.int64(offsets[row + 1])
        while i < stop:
            # what needs nothing: up to the character before the first one that is not ASCII
            a = i
            if rows[row]:
                while i < stop and data[i] < 0x80:
                    i += 1
                if a < i < stop:
                    i -= 1
            else:
                i = stop
            if o + (stop - a) + 64 > len(out):
                out = np.concatenate((out, np.empty(len(out) + (stop - a), np.uint8)))
            if i > a:
                for k in range(a, i):
                    out[o + k - a] = data[k]
                o += i - a
                if i == stop:
                    break
            # one character and all behind it up to an ASCII one, with which nothing before it composes
            a = i
            i += 1
            while i < stop and data[i] >= 0x80:
                i += 1
            if 6 * (i - a) + 20 > len(points):  # no character becomes more than six for each of its bytes
                points, spare = np.empty(12 * (i - a), np.int32), np.empty(12 * (i - a), np.int32)
            n = _decompose(data, a, i, kinds, begins, parts, points, spare)
            n = _compose(points, n, pairs)
            if o + 4 * n + (stop - i) + 64 > len(out):
                out = np.concatenate((out, np.empty(len(out) + 4 * n, np.uint8)))
            first = o
            o = _encode(points, n, out, o)
            changed = changed or o - first != i - a or _differ(out, first, o, data, a)
        ends[row + 1] = o
    return out[:o], changed


def normalize(texts: pa.Array, form: Literal["NFC", "NFKC"]) -> pa.Array:
    """Texts in normal form NFC or NFKC; the same array if none had to change.

    >>> normalize(pa.array(["plain", "e\\u0301"]), "NFC").to_pylist()
    ['plain', 'é']
    """
    offsets, data = string_buffers(texts)
    check = needs_nfc if form == "NFC" else needs_check
    rows = check(offsets, data, _check_table(form))
    if not rows.any():
        return texts
    ends = np.zeros(len(texts) + 1, np.int32)
    out, changed = _normalize(offsets, data, rows, _kinds(form), *_decompositions(form), _compositions(), ends)
    return nulls_of(texts, string_array(ends, out)) if changed else texts
