"""Digits of other scripts, as Arabic and Indian texts have them in phone numbers and cards, read as ASCII digits.

A kernel finds the rows that hold any and writes them anew, with the place in the old text for each byte of the new one. So the
rules know ASCII digits alone, and what they find is cut out of the old text.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from corpusmill.transforms.kernels.bits import HIGH_BITS, load64
from corpusmill.transforms.kernels.njit import njit

ZEROS = (
    0x660,
    0x6F0,
    0x966,
    0x9E6,
    0xA66,
    0xAE6,
    0xB66,
    0xBE6,
    0xC66,
    0xCE6,
    0xD66,
    0xE50,
    0xED0,
    0xF20,
    0x1040,
    0x17E0,
    0xFF10,
)
"""The zeros of scripts in use: Arabic, Persian, the Indian ones, Thai, Lao, Tibetan, Burmese, Khmer, and full width."""


def _widths() -> np.ndarray:
    """uint8 [0x10000]: for a digit of another script 1 more than its value, else 0."""
    out = np.zeros(0x10000, np.uint8)
    for zero in ZEROS:
        out[zero : zero + 10] = np.arange(1, 11)
    out.flags.writeable = False
    return out


_TABLE = _widths()


@njit(nogil=True, cache=True)
def _count(offsets: Any, data: Any, table: Any, out: Any) -> int:
    """Write the number of digits of other scripts of each row. Returns their sum."""
    total = 0
    for row in range(len(offsets) - 1):
        i, stop = np.int64(offsets[row]), np.int64(offsets[row + 1])
        n = 0
        while i < stop:
            if i + 8 <= stop and not load64(data, i) & HIGH_BITS:
                i += 8
                continue
            b = data[i]
            if b < 0xD9 or b > 0xEF or i + 1 >= stop:
                i += 1
                continue
            if b < 0xE0:
                n += table[(np.int64(b) & 0x1F) << 6 | np.int64(data[i + 1]) & 0x3F] > 0
                i += 2
                continue
            if i + 2 < stop:
                c = (np.int64(b) & 0xF) << 12 | (np.int64(data[i + 1]) & 0x3F) << 6 | np.int64(data[i + 2]) & 0x3F
                n += table[c] > 0
            i += 3
        out[row] = n
        total += n
    return total


@njit(nogil=True, cache=True)
def _write(offsets: Any, data: Any, counts: Any, table: Any, out: Any, ends: Any, places: Any) -> int:
    """Write the rows with other digits; ends int32 [n + 1], places int32 [bytes, 2]: where each byte of `out`
    stood, and what was behind it. Returns their number."""
    o = 0
    for row in range(len(offsets) - 1):
        i, stop = np.int64(offsets[row]), np.int64(offsets[row + 1])
        while i < stop and counts[row]:
            b = data[i]
            digit, width = np.int64(0), np.int64(1)
            if 0xD9 <= b < 0xE0 and i + 1 < stop:
                digit, width = np.int64(table[(np.int64(b) & 0x1F) << 6 | np.int64(data[i + 1]) & 0x3F]), np.int64(2)
            elif 0xE0 <= b <= 0xEF and i + 2 < stop:
                c = (np.int64(b) & 0xF) << 12 | (np.int64(data[i + 1]) & 0x3F) << 6 | np.int64(data[i + 2]) & 0x3F
                digit, width = np.int64(table[c]), np.int64(3)
            if digit:
                out[o], places[o, 0], places[o, 1] = 47 + digit, i, i + width
                o += 1
            else:
                for k in range(width):
                    out[o], places[o, 0], places[o, 1] = data[i + k], i + k, i + k + 1
                    o += 1
            i += width
        ends[row + 1] = o
    return o


class Folded(NamedTuple):
    """Texts with ASCII digits: offsets int32 [n + 1] and bytes, as of `string_buffers`; places int32 [bytes, 2]: where the
    character of each byte began and ended in the texts; rows bool [n]: those that are here, the others are empty."""

    offsets: np.ndarray
    data: np.ndarray
    places: np.ndarray
    rows: np.ndarray


def ascii_digits(offsets: np.ndarray, data: np.ndarray) -> Folded | None:
    """The rows that hold digits of other scripts, with ASCII digits instead; None if there is no such row."""
    counts = np.zeros(len(offsets) - 1, np.int32)
    if not _count(offsets, data, _TABLE, counts):
        return None
    rows = counts > 0
    size = int(np.diff(offsets)[rows].sum())
    out, ends, places = np.empty(size, np.uint8), np.zeros(len(offsets), np.int32), np.empty((size, 2), np.int32)
    n = _write(offsets, data, counts, _TABLE, out, ends, places)
    ends.flags.writeable = out.flags.writeable = False
    return Folded(ends, out[:n], places[:n], rows)
