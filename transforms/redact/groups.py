"""Numbers in groups of digits: a kernel drops those that no rule takes, so that rules look at few.

It decides on stretches of digits, blanks, hyphens, dots and slashes only, exactly as the patterns of `phones` and `internet`
cut them, and leaves all others to the rules. What it drops has a shape that the rules refuse; what they would have to look
at closely it keeps.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.redact.cues import PHONE_BEGINNINGS

ANY, IDENTITY, IPV4, NATIONAL, INTERNATIONAL, AMERICAN = 2, 5, 6, 7, 8, 9
"""Kinds of stretches: for all rules of numbers; for cards and identity numbers; an IPv4 address; phone numbers, the last of which
are decided."""

_SHAPES = "334 1334 11 344 13322 3222 2322 333 55 244 254 64 74"
"""Lengths of groups of the national numbers without a leading zero that `phones` takes without a word before them."""
_ZERO_SHAPES = """244 234 233 2322 344 334 333 343 3322 3222 38 37 36 35 433 434 46 47 45 4322 4222 56 55 57 58 533 65 28 27 26
    10 11 22222 2224 2242 2422 4222 226 262 622 244 442 424 64 46 82"""
"""The same of numbers with a leading zero; `phones` has them in detail."""


def _codes(shapes: str) -> np.ndarray:
    """int64: each list of lengths as a number in base 16, in order."""
    codes = []
    for shape in shapes.split():
        lengths = [int(shape)] if shape in ("10", "11") else list(map(int, shape))
        code = 0
        for length in lengths:
            code = code * 16 + length
        codes.append(code)
    return np.array(sorted(set(codes)), np.int64)


def _beginnings() -> np.ndarray:
    """bool [32768]: three letters, of five bits each, with which a word that announces a phone number begins; 0 for none."""
    out = np.zeros(1 << 15, np.bool_)
    for word in PHONE_BEGINNINGS:
        codes = [ord(c) - 96 for c in word]
        rest = 3 - len(codes)
        first = int("".join(f"{c:05b}" for c in codes), 2) << 5 * rest
        out[first : first + (1 << 5 * rest)] = True
    out.flags.writeable = False
    return out


_TABLES = (_codes(_SHAPES), _codes(_ZERO_SHAPES), _beginnings())
for _table in _TABLES:
    _table.flags.writeable = False


@njit(inline="always")
def _is_word(c: Any) -> Any:
    return 48 <= c <= 57 or 65 <= c <= 90 or 97 <= c <= 122 or c == 95


@njit(inline="always")
def _put(out: Any, m: int, row: int, start: int, stop: int, kind: int) -> tuple[Any, int]:
    """Write a stretch at out[m]. Returns (out, which may be a larger copy; m + 1)."""
    if m == len(out):
        out = np.concatenate((out, np.empty_like(out)))
    out[m, 0], out[m, 1], out[m, 2], out[m, 3] = row, start, stop, kind
    return out, m + 1


@njit(inline="always")
def _is_prefix(data: Any, start: int, stop: int, high: int) -> Any:
    """Whether the digits data[start:stop] may be 00 and the code of a country."""
    short = 3 <= stop - start <= 5 and data[start] == 48 and data[start + 1] == 48 and data[start + 2] != 48
    return short and stop < high and (data[stop] == 32 or data[stop] == 46 or data[stop] == 45)


@njit(nogil=True, cache=True)
def _cut(data: Any, a: int, b: int, high: int, starts: Any, ends: Any) -> tuple[int, int]:
    """The groups of digits of data[a:b], into starts and ends. Returns (their number, the first that may be the prefix of an
    international number or -1); (-1, -1) if there is anything but digits, blanks, hyphens, dots and slashes."""
    n, prefix = 0, -1
    p = a
    while p < b:
        c = data[p]
        if 48 <= c <= 57:
            starts[n] = p
            while p < b and 48 <= data[p] <= 57:
                p += 1
            ends[n] = p
            if prefix < 0 and _is_prefix(data, starts[n], p, high):
                prefix = n
            n += 1
        elif c == 32 or 45 <= c <= 47:
            p += 1
        else:
            return -1, -1
    return n, prefix


@njit(nogil=True, cache=True)
def _announced(data: Any, low: int, at: int, beginnings: Any) -> bool:
    """Whether a word that may announce a phone number stands in data[low:at]."""
    code, size = 0, 0
    for i in range(low, at):
        c = data[i]
        if c >= 0x80:
            return True
        c |= 32
        if 97 <= c <= 122:
            size += 1
            if size <= 3:
                code = code << 5 | (c - 96)
            if size == 3 and beginnings[code]:
                return True
        else:
            if 0 < size < 3 and beginnings[code << 5 * (3 - size)]:
                return True
            code = size = 0
    return 0 < size < 3 and beginnings[code << 5 * (3 - size)]


@njit(nogil=True, cache=True)
def _phone(data: Any, starts: Any, ends: Any, a: int, b: int, announced: bool, shapes: Any, zeros: Any) -> bool:
    """Whether the groups a to b may be a phone number."""
    digits, code = 0, 0
    pairs: Any = True
    single: Any = False
    for g in range(a, b):
        size = ends[g] - starts[g]
        digits += size
        code = code * 16 + size
        pairs &= size <= 2
        single |= size == 1
    if digits < 7 or digits > 13:
        return False
    n = b - a
    if not announced:
        if pairs and n != 4 and (n != 5 or single):
            return False
        table = zeros if data[starts[a]] == 48 else shapes
        place = np.searchsorted(table, code)
        if place == len(table) or table[place] != code:
            return False
    seen, last = 0, -1
    rising: Any = True
    for g in range(a, b):
        value = 0
        for p in range(starts[g], ends[g]):
            seen |= 1 << (data[p] - 48)
            value = value * 10 + data[p] - 48
        rising &= value > last
        last = value
    distinct = 0
    for d in range(10):
        distinct += seen >> d & 1
    return distinct >= 3 and (announced or not (pairs and rising and last <= 60))


@njit(nogil=True, cache=True)
def _identity(data: Any, starts: Any, ends: Any, n: int, g: int, high: int) -> bool:
    """Whether a card or an identity number may begin at group g of n; high: behind the text."""
    at, size = starts[g], ends[g] - starts[g]
    first = data[at]
    if (
        size == 4 or size >= 12
    ) and 50 <= first <= 54:  # a card: a sum of digits that is a multiple of ten, for one of the lengths
        total, even, odd = 0, 0, 0  # the sums if the last digit stands at an even place, and at an odd one
        for k in range(g, min(n, g + 5)):
            if total > 19 or (k > g and ends[k] - starts[k] < 2):
                break
            for p in range(starts[k], ends[k]):
                digit = data[p] - 48
                double = digit * 2 - (9 if digit > 4 else 0)
                even, odd = (even + digit, odd + double) if total & 1 == 0 else (even + double, odd + digit)
                total += 1
                if total > 19:
                    break
            if 12 <= total <= 19 and (odd if total & 1 == 0 else even) % 10 == 0:
                return True
    if size >= 17 or (size == 15 and 49 <= first <= 50):
        return True
    two = ends[g + 1] - starts[g + 1] if g + 1 < n else 0
    three = ends[g + 2] - starts[g + 2] if g + 2 < n else 0
    if (size == 3 and two == 2 and three == 4) or (size == 4 and two == 4 and three == 4) or (size == 6 and two == 7):
        return True
    if size == 3 and two == 3 and three == 3:
        return True
    if size == 7 or size == 8:
        behind = ends[g]
        if behind < high and data[behind] == 45:
            behind += 1
        if behind < high and 65 <= data[behind] <= 90:
            return True
    if (
        49 <= first <= 50
    ):  # a French number: fifteen digits, with blanks behind the first, third, fifth, seventh, tenth ...
        total = size
        k = g + 1
        while k < n and (1 << total) & 0x24AA and starts[k] - ends[k - 1] == 1 and data[ends[k - 1]] == 32:
            total += ends[k] - starts[k]
            if total > 15:
                break
            k += 1
        return total == 15
    return False


@njit(nogil=True, cache=True)
def _american(data: Any, starts: Any, ends: Any, g: int, n: int, low: int, high: int) -> bool:
    """Whether the groups from g on are a North American number as 415-555-2671 that stands between blanks or ends of lines, with
    no word before it on its line, or with another number between."""
    if g + 2 >= n or ends[g] - starts[g] != 3 or ends[g + 1] - starts[g + 1] != 3 or ends[g + 2] - starts[g + 2] != 4:
        return False
    a, b = starts[g], ends[g + 2]
    if b - a != 12 or data[a + 3] != 45 or data[a + 7] != 45 or data[a] < 50 or data[a + 4] < 50:
        return False
    if (a > low and data[a - 1] != 32 and data[a - 1] != 10) or (b < high and data[b] != 32 and data[b] != 10):
        return False
    seen = 0
    for p in range(a, b):
        if data[p] != 45:
            seen |= 1 << (data[p] - 48)
    if seen & (seen - 1) == 0:
        return False
    seen &= seen - 1
    if seen & (seen - 1) == 0:  # two different digits at most
        return False
    p = a - 1
    while p >= max(low, a - 64) and data[p] != 10 and not 48 <= data[p] <= 57:
        c = data[p]
        if c >= 0x80 or 97 <= c | 32 <= 122 or 35 <= c <= 36:
            return False
        p -= 1
    return True


@njit(nogil=True, cache=True)
def _sift(offsets: Any, data: Any, found: Any, shapes: Any, zeros: Any, beginnings: Any) -> Any:
    """int64 [m, 4]: the stretches that rules have to look at, of `found`, and parts of them."""
    out = np.empty((len(found) + 16, 4), np.int64)
    m = 0
    starts, ends = np.empty(64, np.int64), np.empty(64, np.int64)
    for f in range(len(found)):
        row, a, b = found[f, 0], found[f, 1], found[f, 2]
        low, high = np.int64(offsets[row]), np.int64(offsets[row + 1])
        before = data[a - 1] if a > low else np.uint8(32)
        plain: Any = before != 43 and before != 40
        if (b - a) // 2 + 1 > len(starts):
            starts, ends = np.empty(b - a, np.int64), np.empty(b - a, np.int64)
        n, prefix = _cut(data, a, b, high, starts, ends)
        # of a very long row each number of another country is looked at alone, and is no reason to look at the rest
        plain &= n >= 0 and (prefix < 0 or b - a > 256)
        n = max(n, 0)
        if plain and prefix >= 0:
            for g in range(prefix, n):
                if _is_prefix(data, starts[g], ends[g], high):
                    out, m = _put(out, m, row, starts[g], min(b, ends[g] + 40), 8)
        for p in range(b, min(b + 3, high)):
            plain &= data[p] != 40
        if not plain:
            out, m = _put(out, m, row, a, b, 2)
            continue
        wide = b - a > 256  # the identity numbers of a very long row are looked at one by one
        first = -1
        for g in range(n):
            if ends[g] - starts[g] < 3 and not (49 <= data[starts[g]] <= 50 and g + 1 < n and data[ends[g]] == 32):
                continue
            if _identity(data, starts, ends, n, g, high):
                if wide:
                    out, m = _put(out, m, row, starts[g], min(b, starts[g] + 32), 5)
                else:
                    first = starts[g]
        if first >= 0:
            out, m = _put(out, m, row, a, b, 5)
        g = 0
        while g < n:  # four numbers of up to three digits with dots between, and no more
            k = g
            while k + 1 < n and starts[k + 1] - ends[k] == 1 and data[ends[k]] == 46:
                k += 1
            ok = k - g == 3
            for j in range(g, k + 1):
                ok &= ends[j] - starts[j] <= 3
            if ok:
                c = data[starts[g] - 1] if starts[g] > low else np.uint8(32)
                behind = ends[k]
                c2 = data[behind] if behind < high else np.uint8(32)
                c3 = data[behind + 1] if behind + 1 < high else np.uint8(32)
                ok = not (_is_word(c) or c == 46 or _is_word(c2) or (c2 == 46 and _is_word(c3) and c3 != 95))
            if ok:
                out, m = _put(out, m, row, starts[g], ends[k], 6)
            g = k + 1
        g = 0
        announced = n > 0 and b - a >= 7 and _announced(data, max(low, a - 64), a, beginnings)
        while g < n:  # as `phones._NATIONAL` cuts them
            c = data[starts[g] - 1] if starts[g] > low else np.uint8(32)
            if _is_word(c) or c == 43 or c == 46 or ends[g] - starts[g] > 12:
                g += 1
                continue
            if _american(data, starts, ends, g, n, low, high):
                out, m = _put(out, m, row, starts[g], ends[g + 2], 9)
                g += 3
                continue
            k = g + 1
            while k < n and k - g < 7 and ends[k] - starts[k] <= 10:
                k += 1
            extended = data[b] == 120 and b + 1 < high and 48 <= data[b + 1] <= 57 if b < high else False
            if k == n and b < high and _is_word(data[b]) and not extended:
                k -= 1
            if k == g:
                g += 1
                continue
            maybe = announced and starts[g] - a < 64
            blanks: Any = False
            pairs: Any = ends[k - 1] - starts[k - 1] <= 2
            for j in range(g, k - 1):
                blanks |= data[ends[j]] == 32 or data[starts[j + 1] - 1] == 32
                pairs &= ends[j] - starts[j] <= 2
            if pairs and not (maybe or blanks or 4 <= k - g <= 5):  # a row of small numbers
                g = k
                continue
            take: Any = _phone(data, starts, ends, g, k, maybe, shapes, zeros)
            part = g
            for j in range(g, k):  # what blanks part within it, and North American numbers
                if take or not blanks:
                    break
                take = j + 2 < k and ends[j] - starts[j] >= 3 and ends[j + 1] - starts[j + 1] == 3 and (
                    ends[j + 2] - starts[j + 2] >= 4
                )  # fmt: skip
                parted = j + 1 == k
                if not parted:
                    for p in range(ends[j], starts[j + 1]):
                        parted |= data[p] == 32
                if parted:
                    take = take or _phone(data, starts, ends, part, j + 1, maybe, shapes, zeros)
                    part = j + 1
            if take:
                out, m = _put(out, m, row, starts[g], ends[k - 1], 7)
            onward = k
            if k - g == 7 and k < n:  # as `phones._behind`: the last of many groups may belong to the next number
                for j in range(k - 1, g, -1):
                    if data[ends[j - 1]] == 32 or data[starts[j] - 1] == 32:
                        onward = j
                        break
            g = onward
    return out[:m]


def sift(offsets: np.ndarray, data: np.ndarray, stretches: np.ndarray) -> np.ndarray:
    """int64 [m, 4] of (row, start, stop, kind): what the rules of numbers have to look at.

    stretches: int64 [k, 4], rows of `candidates` of kind DIGITS.
    """
    found: np.ndarray = _sift(offsets, data, stretches, *_TABLES)
    return found
