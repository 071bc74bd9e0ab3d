"""Carries out decisions: drops documents, or cuts byte ranges out of their text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.transforms.arrow import nulls_of, set_column, string_array, string_buffers
from corpusmill.transforms.base import Applied
from corpusmill.transforms.dedup._grouping import column
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.unicode import ALONE, MARK, SPACE, WORD, decode, previous, tables


def drop(batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table, reason: str, value: str) -> Applied:
    """Drop the rows that `decisions` names; it has a column `survivor` and the column named by `value`."""
    at = np.searchsorted(rows, column(decisions, "row")).astype(np.int64)
    values = [float("nan") if v is None else float(v) for v in decisions.column(value).to_pylist()]
    return Applied.without(batch, at, [reason] * len(at), values, decisions.column("survivor").to_pylist())


@njit(inline="always")
def _joined(c: int, d: int, flags: Any) -> bool:
    """Whether the code points `c` and `d` belong to one word where `d` follows `c`."""
    if not flags[c] & (WORD | MARK):
        return False
    return bool(flags[d] & MARK) or bool(flags[d] & WORD and not (flags[c] | flags[d]) & ALONE)


@njit(inline="always")
def _in_word(data: Any, start: int, stop: int, i: int, flags: Any) -> bool:
    """Whether position `i` of data[start:stop] lies within a word."""
    if i <= start or i >= stop:
        return False
    c, _ = previous(data, start, i)
    d, _ = decode(data, i, stop)
    return _joined(c, d, flags)


@njit(nogil=True, cache=True)
def _whole_words(data: Any, start: int, stop: int, b: int, e: int, flags: Any) -> tuple[int, int]:
    """data[b:e] without the words that it holds in part, and without one character where the rest would join two words."""
    while b < e and _in_word(data, start, stop, b, flags):
        _, b = decode(data, b, stop)
    while e > b and _in_word(data, start, stop, e, flags):
        _, e = previous(data, start, e)
    if start < b < e < stop:
        c, _ = previous(data, start, b)
        d, _ = decode(data, e, stop)
        if _joined(c, d, flags):
            first, after = decode(data, b, stop)
            last, before = previous(data, start, e)
            if flags[last] & SPACE and not flags[first] & SPACE:
                e = before
            else:
                b = after
    return b, e


@njit(nogil=True, cache=True)
def _cut(
    offsets: Any, data: Any, at: Any, begin: Any, end: Any, flags: Any, new: Any, out: Any, gone: Any, whole_words: bool
) -> Any:
    """Copy each text without its ranges (sorted by row and begin). Returns bool [n]: texts of which only white space is left."""
    n = len(offsets) - 1
    blank = np.zeros(n, np.bool_)
    r = 0
    w = 0
    for row in range(n):
        start, stop = offsets[row], offsets[row + 1]
        new[row] = w
        i = start
        while r < len(at) and at[r] == row:
            b, e = begin[r], end[r]
            r += 1
            while r < len(at) and at[r] == row and begin[r] <= e:
                e = max(e, end[r])
                r += 1
            b, e = start + max(b, 0), min(start + e, stop)
            # shrink the range to whole code points
            while b < e and (data[b] & 0xC0) == 0x80:
                b += 1
            while e > b and e < stop and (data[e] & 0xC0) == 0x80:
                e -= 1
            if whole_words:
                b, e = _whole_words(data, start, stop, b, e, flags)
            if e > b:
                out[w : w + b - i] = data[i:b]
                w += b - i
                i = e
                gone[row] += e - b
        out[w : w + stop - i] = data[i:stop]
        w += stop - i
        if gone[row]:
            blank[row] = True
            j = new[row]
            while j < w:
                c, j = decode(out, j, w)
                if not flags[c] & SPACE:
                    blank[row] = False
                    break
    new[n] = w
    return blank


def cut(
    batch: pa.RecordBatch,
    rows: np.ndarray,
    decisions: pa.Table,
    reason: str,
    max_fraction: float = 1.0,
    keep_text: bool = False,
    whole_words: bool = False,
) -> Applied:
    """Cut ranges of bytes out of the texts of the rows that `decisions` names, and drop the documents of which nothing is left.

    decisions: `row`, `begin` and `end` (bytes of the text, any order, may overlap), `survivor`. Ranges shrink to whole
    code points. A document that loses more than `max_fraction` of its bytes, or all but white space, is dropped: its value
    is the share of its bytes in the ranges, its survivor the one named with its first range. keep_text: cut nothing.
    whole_words: words that a range covers in part stay, and the words around a range are not joined.
    """
    none = np.zeros(0, np.int64)
    if decisions.num_rows == 0:
        return Applied(batch, none, [], [], [])
    order = np.lexsort((column(decisions, "begin"), column(decisions, "row")))
    at = np.searchsorted(rows, column(decisions, "row")[order]).astype(np.int64)
    begin, end = (column(decisions, name)[order].astype(np.int64) for name in ("begin", "end"))
    text = batch.column("text")
    offsets, data = string_buffers(text)
    new = np.zeros(len(batch) + 1, np.int32)
    out = np.empty(max(int(offsets[-1] - offsets[0]), 8), np.uint8)
    gone = np.zeros(len(batch), np.int64)
    blank = _cut(offsets, data, at, begin, end, tables()[0], new, out, gone, whole_words)
    share = gone / np.maximum(np.diff(offsets), 1)
    away = (gone > 0) & (blank | (share > max_fraction)) if not keep_text else share > max_fraction
    dropped = np.flatnonzero(away)
    first = np.searchsorted(at, dropped)
    survivors = decisions.column("survivor").take(pa.array(order[first])).to_pylist()
    if not keep_text:
        batch = set_column(batch, "text", nulls_of(text, string_array(new, out[: new[-1]])).cast(text.type))
    kept = batch.filter(pa.array(~away)) if len(dropped) else batch
    return Applied(kept, dropped, [reason] * len(dropped), share[dropped].tolist(), survivors)
