"""Markdown to plain text: removes the marks and keeps the text between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.transforms.arrow import nulls_of, string_array, string_buffers
from corpusmill.transforms.kernels.njit import njit

_MARKS = np.zeros(256, np.bool_)
_MARKS[np.frombuffer(b"*_`[!<\\~", np.uint8)] = True
_MARKS.flags.writeable = False


def strip_markdown(texts: pa.Array) -> pa.Array:
    """Texts without Markdown's marks.

    Removed: front matter (between `---` lines at the start), fence lines (the code between them stays as it is), heading,
    quote and list marks at the start of lines, rules, underlines of headings, separators of tables, link definitions,
    comments, HTML tags, emphasis (within one line), back ticks, escaping backslashes. `[text](address)` and
    `![text](address)` become their text.

    >>> strip_markdown(pa.array(["# Title\\n\\n- **bold** [link](http://x.y) and `a_b`\\n"])).to_pylist()
    ['Title\\n\\nbold link and a_b\\n']
    """
    offsets, data = string_buffers(texts)
    total = int(offsets[-1]) - int(offsets[0])
    longest = int(np.diff(offsets).max()) if len(texts) else 0
    out, ends = np.empty(total + 1, np.uint8), np.zeros(len(texts) + 1, np.int32)
    _strip(offsets, data, _MARKS, np.zeros((5, longest + 2), np.int32), out, ends)
    return nulls_of(texts, string_array(ends, out[: ends[-1]]))


@njit(inline="always")
def _alnum(b: Any) -> bool:
    return 48 <= b <= 57 or 65 <= b <= 90 or 97 <= b <= 122


@njit(nogil=True, cache=True)
def _run(data: Any, i: int, stop: int) -> int:
    """Position behind the run of the byte data[i]."""
    k = i + 1
    while k < stop and data[k] == data[i]:
        k += 1
    return k


@njit(nogil=True, cache=True)
def _pair(data: Any, i: int, stop: int, left: int, right: int, base: int, pairs: Any, open_: Any) -> None:
    """Pair the brackets of data[i:stop] in one pass, so that the brackets of a line are never searched one by one.

    pairs[p - base]: the position of the bracket that closes the one at p, or -1 if none does; 0 where p was not seen.
    `open_` is a stack, long enough for all brackets.
    """
    depth = 0
    while i < stop:
        if data[i] == 92:
            i += 1
        elif data[i] == left:
            pairs[i - base] = -1
            open_[depth] = i
            depth += 1
        elif data[i] == right and depth:
            depth -= 1
            pairs[open_[depth] - base] = i
        i += 1


@njit(nogil=True, cache=True)
def _closing(data: Any, i: int, stop: int, left: int, right: int, base: int, pairs: Any, open_: Any) -> int:
    """Position of the bracket `right` that closes the bracket `left` at data[i], or -1."""
    if pairs[i - base] == 0:
        _pair(data, i, stop, left, right, base, pairs, open_)
    return pairs[i - base]


@njit(nogil=True, cache=True)
def _last_ticks(data: Any, i: int, stop: int, base: int, last: Any) -> None:
    """last[n]: the place behind `base` of the last run of n back ticks in data[i:stop], plus 1."""
    while i < stop:
        if data[i] == 96:
            behind = _run(data, i, stop)
            last[behind - i] = i - base + 1
            i = behind
        else:
            i += 1


@njit(nogil=True, cache=True)
def _clear_ticks(data: Any, i: int, stop: int, last: Any) -> None:
    """Undo `_last_ticks`."""
    while i < stop:
        if data[i] == 96:
            behind = _run(data, i, stop)
            last[behind - i] = 0
            i = behind
        else:
            i += 1


@njit(nogil=True, cache=True)
def _only(data: Any, i: int, stop: int) -> bool:
    """Whether data[i:stop] is only a rule, an underline or a table separator of at least three marks."""
    n = 0
    first = data[i] if i < stop else np.uint8(0)
    table = False
    while i < stop:
        b = data[i]
        if b == 45 or b == 61 or b == 42 or b == 95:
            if first == 42 or first == 95 or first == 61:
                if b != first:
                    return False
            elif b != 45:
                return False
            n += 1
        elif b == 124 or b == 58:
            table = True
        elif b != 32 and b != 9 and b != 13:
            return False
        i += 1
    return n >= 3 or (table and n >= 1)


@njit(nogil=True, cache=True)
def _strip(offsets: Any, data: Any, marks: Any, scratch: Any, out: Any, ends: Any) -> None:
    """scratch int32 [5, longest row + 2], zero.

    Time is linear in the text: what a search for a closing mark finds, or fails to find, is kept for the rest of its line.
    """
    skip = scratch[0]  # for a position of the line, how far to go on behind it
    squares, rounds, open_ = scratch[1], scratch[2], scratch[3]  # brackets in pairs, and a stack
    ticks = scratch[4]  # the last run of back ticks of each length
    closers = np.full((3, 4), -1, np.int64)  # where the last search for each run of * _ ~ stopped
    closes = np.empty((3, 4), np.bool_)  # and whether it found one
    o = 0
    for row in range(len(offsets) - 1):
        i: Any = np.int64(offsets[row])
        stop: Any = np.int64(offsets[row + 1])
        begin = i
        first_tick: Any = i
        fence = 0  # length of the fence that is open
        mark = np.uint8(0)  # its character
        comment = False
        front: Any = False
        while i < stop:
            a = i
            end = a
            marked: Any = False
            while end < stop and data[end] != 10:
                marked |= marks[data[end]]
                end += 1
            i = min(end + 1, stop)
            k = a
            while k < end and (data[k] == 32 or data[k] == 9):
                k += 1
            solid = end
            while solid > k and (data[solid - 1] <= 32):
                solid -= 1
            rule = solid - k == 3 and data[k] == 45 and data[k + 1] == 45 and data[k + 2] == 45
            if a == begin and rule and k == a:
                # front matter only if it ends
                j = end
                while j + 3 < stop and not (
                    data[j] == 10 and data[j + 1] == 45 and data[j + 2] == 45 and data[j + 3] == 45
                    and (j + 4 >= stop or data[j + 4] == 10 or data[j + 4] == 13)
                ):  # fmt: skip
                    j += 1
                front = j + 3 < stop
                if front:
                    continue
            if front:
                front = not (rule and k == a)
                continue
            if not comment and solid - k >= 3 and (data[k] == 96 or data[k] == 126):
                behind = _run(data, k, solid)
                if fence:
                    if data[k] == mark and behind - k >= fence and behind == solid:
                        fence = 0
                        continue
                elif behind - k >= 3:
                    fence, mark = behind - k, data[k]
                    continue
            if fence:
                for j in range(a, i):
                    out[o] = data[j]
                    o += 1
                continue
            indent = k
            paired = False
            while k < solid and data[k] == 62:  # quotes
                k += 1
                if k < solid and data[k] == 32:
                    k += 1
                indent = k
            if _only(data, k, solid):
                continue
            if k < solid and data[k] == 35:
                behind = _run(data, k, solid)
                if behind - k <= 6 and (behind == solid or data[behind] == 32 or data[behind] == 9):
                    k = behind
                    while k < solid and data[k] == 32:
                        k += 1
                    indent = k
                    while solid > k and data[solid - 1] == 35:
                        solid -= 1
                    while solid > k and data[solid - 1] == 32:
                        solid -= 1
            elif k + 1 < solid and (data[k] == 45 or data[k] == 42 or data[k] == 43) and data[k + 1] == 32:
                k += 2
                indent = k
            elif k < solid and 48 <= data[k] <= 57:
                j = k
                while j < solid and 48 <= data[j] <= 57 and j - k < 9:
                    j += 1
                if j + 1 < solid and (data[j] == 46 or data[j] == 41) and data[j + 1] == 32:
                    k = indent = j + 2
            elif k < solid and data[k] == 91:
                j = _closing(data, k, solid, 91, 93, a, squares, open_)
                if j > 0 and j + 1 < solid and data[j + 1] == 58:
                    for x in range(a, end + 1):
                        squares[x - a] = 0
                    continue
                paired = True
            if indent == k and k > a and data[a] != 62:
                # indentation of plain lines stays; that in front of a mark went with it
                j = k - 1
                while j >= a and (data[j] == 32 or data[j] == 9):
                    j -= 1
                if j < a:
                    for j in range(a, k):
                        out[o] = data[j]
                        o += 1
            if not (marked or comment):  # most lines of ordinary text
                for j in range(k, solid):
                    out[o + j - k] = data[j]
                o += solid - k
                if end < stop:
                    out[o] = 10
                    o += 1
                continue
            line = o
            base = a
            blank = k == solid
            counted = False
            while k < solid:
                if comment:
                    if k + 2 < solid and data[k] == 45 and data[k + 1] == 45 and data[k + 2] == 62:
                        comment = False
                        k += 3
                    else:
                        k += 1
                    continue
                if skip[k - base]:
                    j = skip[k - base]
                    skip[k - base] = 0
                    k += j
                    continue
                b = data[k]
                if not marks[b]:
                    out[o] = b
                    o += 1
                    k += 1
                    continue
                if b == 92:
                    if k + 1 < solid and 33 <= data[k + 1] <= 126 and not _alnum(data[k + 1]):
                        k += 1
                    out[o] = data[k]
                    o += 1
                    k += 1
                    continue
                if b == 96:
                    behind = _run(data, k, solid)
                    if not counted:
                        _last_ticks(data, k, solid, base, ticks)
                        counted, first_tick = True, np.int64(k)
                    j = behind if ticks[behind - k] > behind - base else solid
                    while j < solid:
                        if data[j] == 96:
                            e = _run(data, j, solid)
                            if e - j == behind - k:
                                break
                            j = e
                        else:
                            j += 1
                    if j < solid:
                        size = behind - k
                        for x in range(behind, j):
                            out[o] = data[x]
                            o += 1
                        for x in range(k, j + size):
                            skip[x - base] = 0
                        k = j + size
                    else:
                        for _ in range(k, behind):
                            out[o] = 96
                            o += 1
                        k = behind
                    continue
                if b == 60:
                    if k + 3 < solid and data[k + 1] == 33 and data[k + 2] == 45 and data[k + 3] == 45:
                        comment = True
                        k += 4
                        continue
                    n = data[k + 1] if k + 1 < solid else np.uint8(0)
                    if n == 47 or 65 <= n <= 90 or 97 <= n <= 122:
                        j = k + 1
                        address: Any = False
                        while j < solid and data[j] != 62 and data[j] != 60:
                            address |= data[j] == 64 or (data[j] == 58 and j + 1 < solid and data[j + 1] == 47)
                            address &= data[j] != 32
                            j += 1
                        if j < solid and data[j] == 62:
                            if address:  # <https://...> is text
                                for x in range(k + 1, j):
                                    out[o] = data[x]
                                    o += 1
                            for x in range(k, j + 1):
                                skip[x - base] = 0
                            k = j + 1
                            continue
                elif b == 91 or (b == 33 and k + 1 < solid and data[k + 1] == 91):
                    at = k + (b == 33)
                    paired = True
                    j = _closing(data, at, solid, 91, 93, base, squares, open_)
                    if j > 0 and j + 1 < solid and (data[j + 1] == 40 or data[j + 1] == 91):
                        if data[j + 1] == 40:
                            e = _closing(data, j + 1, solid, 40, 41, base, rounds, open_)
                        else:
                            e = _closing(data, j + 1, solid, 91, 93, base, squares, open_)
                        if e > 0:
                            skip[j - base] = e + 1 - j
                            k = at + 1
                            continue
                elif b == 42 or b == 95 or b == 126:
                    behind = _run(data, k, solid)
                    size = behind - k
                    opens = behind < solid and data[behind] > 32 and not (k > a and _alnum(data[k - 1]))
                    if opens and size <= 3 and (b != 126 or size == 2):
                        kind = 0 if b == 42 else (1 if b == 95 else 2)
                        if closers[kind, size] < behind:
                            j = behind
                            while j < solid:
                                if data[j] == 96:  # no mark closes within code
                                    break
                                if data[j] == b:
                                    e = _run(data, j, solid)
                                    if e - j == size and data[j - 1] > 32 and not (e < solid and _alnum(data[e])):
                                        break
                                    j = e
                                else:
                                    j += 1
                            closers[kind, size] = j
                            closes[kind, size] = j < solid and data[j] == b
                        j = closers[kind, size]
                        if closes[kind, size]:
                            skip[j - base] = size
                            k = behind
                            continue
                    for _ in range(size):
                        out[o] = b
                        o += 1
                    k = behind
                    continue
                out[o] = b
                o += 1
                k += 1
            if counted:
                _clear_ticks(data, first_tick, solid, ticks)
            for x in range(a, end + 1):
                skip[x - base] = 0
            if paired:
                for x in range(a, end + 1):
                    squares[x - base] = rounds[x - base] = 0
            if (o == line and not blank) or (comment and o == line):
                continue  # a line of marks only
            if end < stop:
                out[o] = 10
                o += 1
        ends[row + 1] = o
