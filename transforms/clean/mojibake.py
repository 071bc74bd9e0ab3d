"""Repair of text that was decoded with the wrong character set ("schÃ¶n" for "schön"), by ftfy.

ftfy looks at every character in Python, but acts only where unlikely characters of its published sets
(`ftfy.badness.MOJIBAKE_CATEGORIES`) stand side by side. A kernel finds such pairs, and ftfy is asked only around them.
"""

from __future__ import annotations

import functools
import re
import sys
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.transforms.arrow import replace_rows, string_buffers
from corpusmill.transforms.clean.recode import repaired, segments
from corpusmill.transforms.kernels.bits import HIGH_BITS, load64
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.unicode import decode

_ODD, _COMMON, _ALONE = 1, 2, 4
_LETTERS = (
    "common",
    "lower_common",
    "upper_common",
    "lower_accented",
    "kaomoji",
)  # no rule has two of these and no other
_NOTED = "ŒœÃÂЂ"  # need no second character from the sets


@functools.cache
def _table() -> np.ndarray:
    """uint8 [0x110000]: _ODD and _COMMON for characters of ftfy's sets, _ALONE for those that count on their own."""
    from ftfy.badness import BADNESS_RE, MOJIBAKE_CATEGORIES

    out = np.zeros(0x110000, np.uint8)
    every = "".join(map(chr, range(0x80, 0x10000)))
    for name, ranges in MOJIBAKE_CATEGORIES.items():
        flag = _ALONE if name == "c1" else _COMMON if name in _LETTERS else _ODD
        out[[ord(c) for c in re.findall(f"[{ranges}]", every)]] |= flag
    for char in BADNESS_RE.pattern:  # characters that its rules name one by one
        if char > "\x7f" and not out[ord(char)]:
            out[ord(char)] = _ODD
    for char in _NOTED:
        out[ord(char)] |= _ALONE
    out.flags.writeable = False
    return out


@njit(nogil=True, cache=True)
def _suspects(offsets: Any, data: Any, table: Any, most: int, rows: Any, places: Any) -> int:
    """Writes row and byte of the first `most` suspects of each row while there is room; returns how many there are."""
    n = 0
    for row in range(len(offsets) - 1):
        i, stop = offsets[row], offsets[row + 1]
        last = 0
        end = n + most
        while i < stop and n < end:
            if i + 8 <= stop and not load64(data, i) & HIGH_BITS:
                i += 8
                last = 0
                continue
            if data[i] < 0x80:
                i += 1
                last = 0
                continue
            at = i
            c, i = decode(data, i, stop)
            kind = table[c]
            if kind & _ALONE or (last and kind and (last | kind) & _ODD):
                if n < len(rows):
                    rows[n], places[n] = row, at
                n += 1
            last = kind
    return n


def suspects(texts: pa.Array, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns (rows, bytes of the texts' data), int64 [k]: the first `most` characters of each row around which ftfy might change
    something."""
    offsets, data = string_buffers(texts)
    room = 64
    while True:
        rows, places = np.empty(room, np.int64), np.empty(room, np.int64)
        count = _suspects(offsets, data, _table(), most, rows, places)
        if count <= room:
            return rows[:count], places[:count]
        room = count


_AROUND = 7 * 4 + 3
"""How many bytes a pattern can reach before or behind its suspect, with 3 for a character that is cut."""


def bad_rows(texts: pa.Array) -> list[int]:
    """The rows for which `ftfy.badness.is_bad` is true.

    `is_bad` tries some forty patterns at every character; here they run only around suspects. Each pattern contains a
    suspect, is at most 7 characters long and has no look-around. Most bad rows show it at their first suspects, so that only
    the others with many are read to their ends.
    """
    rows, places = suspects(texts, _FIRST)
    if not len(rows):
        return []
    bad = _bad_among(texts, rows, places)
    many = np.setdiff1d(np.flatnonzero(np.bincount(rows) == _FIRST), bad)
    if len(many):
        rest = texts.take(pa.array(many))
        bad += many[_bad_among(rest, *suspects(rest, sys.maxsize))].tolist()
        bad.sort()
    return bad


def _bad_among(texts: pa.Array, rows: np.ndarray, places: np.ndarray) -> list[int]:
    """The rows for which ftfy's patterns match around a suspect. rows, places: of `suspects`."""
    from ftfy.badness import BADNESS_RE

    offsets, data = string_buffers(texts)
    bad: list[int] = []
    first = np.flatnonzero(np.diff(rows, prepend=-1))
    for begin, end in zip(first.tolist(), [*first[1:].tolist(), len(rows)]):
        row = int(rows[begin])
        low, high = int(offsets[row]), int(offsets[row + 1])
        # windows of suspects that touch are one
        while begin < end:
            close = begin + 1
            while close < end and close - begin < _TOGETHER and places[close] - places[close - 1] <= _AROUND:
                close += 1
            window = data[max(low, places[begin] - _AROUND) : min(high, places[close - 1] + 4 + _AROUND)]
            if BADNESS_RE.search(window.tobytes().decode(errors="ignore")):
                bad.append(row)
                break
            begin = close
    return bad


_FIRST = 256
"""Suspects of a row that are looked at before the row is read to its end."""
_TOGETHER = 64
"""Suspects whose windows are searched as one."""
_SHORT = 200
"""Characters of a text that is searched as a whole: a kernel costs more."""


def _is_bad(text: str) -> bool:
    from ftfy.badness import is_bad

    return is_bad(text) if len(text) <= _SHORT else bool(bad_rows(pa.array([text])))


def repair(texts: pa.Array) -> pa.Array:
    """Undoes mojibake and changes nothing else. Returns the same array if there was none.

    >>> repair(pa.array(["schÃ¶n", "schön"])).to_pylist()
    ['schön', 'schön']
    """
    rows = bad_rows(texts)
    if not rows:
        return texts
    before = texts.take(pa.array(rows)).to_pylist()
    after = []
    for text in before:
        lines = segments(text)
        for n in [0] if len(lines) == 1 else bad_rows(pa.array(lines)):
            lines[n] = repaired(lines[n], _is_bad)
        after.append("".join(lines))
    if after == before:
        return texts
    mask = np.zeros(len(texts), np.bool_)
    mask[rows] = True
    return replace_rows(texts, mask, after)
