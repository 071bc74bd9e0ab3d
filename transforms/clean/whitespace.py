"""Tidies control characters and white space in one pass over the rows that need it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.transforms.arrow import nulls_of, string_array, string_buffers
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.unicode import SPACE, decode, previous, tables


def tidy(texts: pa.Array, control: bool, whitespace: bool, collapse: bool, blank_lines: int) -> pa.Array:
    """Texts without control characters (`control`), with tidy lines (`whitespace`); the same array if none had to change.

    control: characters of category Cc but tab and the line ends below, and byte order marks, are removed. whitespace:
    carriage returns (with or without a line feed), vertical tabs, form feeds, U+0085, U+2028 and U+2029 become line feeds;
    white space at the end of lines and blank lines at the start are removed; at most `blank_lines` blank lines follow each
    other, and at most one line feed ends the text. collapse (with whitespace): runs of white space within a line become
    one space, and indentation goes.

    >>> tidy(pa.array(["a \\r\\n\\n\\n\\n\\n  b\\x00\\n\\n", "fine"]), True, True, False, 1).to_pylist()
    ['a\\n\\n  b\\n', 'fine']
    """
    flags = tables()[0]
    offsets, data = string_buffers(texts)
    rows = np.zeros(len(texts), np.bool_)
    _needs(offsets, data, flags, control, whitespace, collapse, blank_lines, rows)
    if not rows.any():
        return texts
    out, ends = np.empty(int(offsets[-1]) - int(offsets[0]) + 1, np.uint8), np.zeros(len(offsets), np.int32)
    _tidy(offsets, data, flags, rows, control, whitespace, collapse, blank_lines, out, ends)
    return nulls_of(texts, string_array(ends, out[: ends[-1]]))


@njit(inline="always")
def _is_break(c: Any) -> bool:
    """Whether c ends a line and is not a line feed."""
    return 11 <= c <= 13 or c == 0x85 or c == 0x2028 or c == 0x2029


@njit(inline="always")
def _is_control(c: Any) -> bool:
    return (c < 32 and not 9 <= c <= 13) or (0x7F <= c < 0xA0 and c != 0x85) or c == 0xFEFF


@njit(nogil=True, cache=True)
def _needs(
    offsets: Any, data: Any, flags: Any, control: bool, whitespace: bool, collapse: bool, blank_lines: int, out: Any
) -> None:
    for row in range(len(offsets) - 1):
        start: Any = np.int64(offsets[row])
        stop: Any = np.int64(offsets[row + 1])
        i = start
        feeds = blank_lines + 1 if whitespace else 0  # a blank line at the start is one too many
        untidy = False
        while i < stop and not untidy:
            b = data[i]
            if 32 < b < 0x7F:
                feeds = 0
                i += 1
                if collapse and whitespace:
                    continue
                while i < stop and 32 < data[i] < 0x7F:
                    i += 1
                continue
            if b == 10:
                if whitespace:
                    feeds += 1
                    if i > start and data[i - 1] != 10:
                        c, _ = previous(data, start, i)
                        untidy = (flags[c] & SPACE) != 0
                    untidy |= feeds > blank_lines + 1
                i += 1
                continue
            here = i
            c, i = decode(data, i, stop)
            if b == 32 or b == 9:
                if collapse and whitespace:
                    untidy = b == 9 or here == start or data[here - 1] == 10 or (i < stop and data[i] == 32)
                continue
            feeds = 0
            untidy |= control and _is_control(c)
            untidy |= whitespace and (_is_break(c) or (collapse and (flags[c] & SPACE) != 0))
        if not untidy and whitespace and stop > start:
            c, k = previous(data, start, stop)
            untidy = (c != 10 and (flags[c] & SPACE) != 0) or (c == 10 and (k == start or data[k - 1] == 10))
        out[row] = untidy


@njit(nogil=True, cache=True)
def _tidy(
    offsets: Any, data: Any, flags: Any, rows: Any, control: bool, whitespace: bool, collapse: bool, blank_lines: int,
    out: Any, ends: Any,
) -> None:  # fmt: skip
    o = 0
    for row in range(len(offsets) - 1):
        i: Any = np.int64(offsets[row])
        stop: Any = np.int64(offsets[row + 1])
        if not rows[row]:
            for k in range(stop - i):
                out[o + k] = data[i + k]
            o += stop - i
            ends[row + 1] = o
            continue
        begin = line = solid = o  # starts of row and line; behind the line's last visible character
        blank = 0
        while i < stop:
            here = i
            c, i = decode(data, i, stop)
            if control and _is_control(c):
                continue
            if whitespace and (c == 10 or _is_break(c)):
                if c == 13 and i < stop and data[i] == 10:
                    i += 1
                o = solid
                if o > line:
                    blank = 0
                else:
                    blank += 1
                    if blank > blank_lines or o == begin:
                        continue
                out[o] = 10
                o += 1
                line = solid = o
                continue
            if whitespace and flags[c] & SPACE:
                if collapse:
                    if o == line or o > solid:
                        continue
                    out[o] = 32
                    o += 1
                    continue
                for k in range(here, i):
                    out[o] = data[k]
                    o += 1
                continue
            for k in range(here, i):
                out[o] = data[k]
                o += 1
            solid = o
        if whitespace:
            o = solid
            while o - 1 > begin and out[o - 1] == 10 and out[o - 2] == 10:
                o -= 1
        ends[row + 1] = o
