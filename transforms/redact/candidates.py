"""Finds the stretches of text that may hold a personal value, in one pass over the bytes.

Documents without an at sign, a long number or an address of hexadecimal groups cost nothing more. Rules look at the stretches
found here and at nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.transforms.kernels.njit import njit

MAIL, DIGITS, LETTERS, HEX = 1, 2, 3, 4
"""Kinds of stretches: around an at sign; a number; a number behind capitals; groups of hexadecimal digits between colons."""


def _classes() -> np.ndarray:
    out = np.zeros(256, np.uint8)
    out[48:58] = 1
    out[64], out[58] = 2, 3
    return out


def _letters() -> np.ndarray:
    """1 = may stand in an address before or behind its at sign; 2 = hexadecimal, colon or dot."""
    out = np.zeros(256, np.uint8)
    out[128:] = 1
    for c in b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$&'*/=?^_`{|}~.%+-":
        out[c] |= 1
    for c in b"0123456789abcdefABCDEF:.":
        out[c] |= 2
    return out


CLASSES, LETTER_CLASSES = _classes(), _letters()


@njit(nogil=True, cache=True)
def candidates(offsets: Any, data: Any, classes: Any, letters: Any) -> Any:
    """Returns int64 [k, 4]: (row, start, stop, kind) of each stretch.

    Stretches may overlap: the text behind an at sign or a colon may be a number as well. Each is bounded or disjoint from
    others of its kind, so that their total length is linear in the text.
    """
    out = np.empty((64, 4), np.int64)
    k = 0
    for row in range(len(offsets) - 1):
        begin, stop = np.int64(offsets[row]), np.int64(offsets[row + 1])
        i: Any = begin
        groups: Any = begin  # behind the last stretch that was looked at for groups between colons
        while i < stop:
            kind = classes[data[i]]
            if kind == 0 or (kind == 3 and i < groups):
                i += 1
                continue
            a, b, result = np.int64(i), np.int64(i + 1), 0
            behind: Any = b  # where to go on
            if kind == 2:  # an at sign: its surroundings
                while a > begin and i - a < 128 and letters[data[a - 1]] & 1:
                    a -= 1
                while a < i and (data[a] & 0xC0) == 0x80:  # never begin inside a character
                    a += 1
                dots = 0
                while b < stop and b - i < 255 and letters[data[b]] & 1:
                    dots += data[b] == 46
                    b += 1
                while b < stop and b > i + 1 and (data[b] & 0xC0) == 0x80:  # nor end inside one
                    b -= 1
                if a < i and dots:
                    result = 1
            elif kind == 3:  # a colon: eight groups, or two colons in a row, among hexadecimal digits
                if i + 1 < stop and (data[i + 1] == 58 or letters[data[i + 1]] & 2):
                    while a > begin and i - a < 5 and letters[data[a - 1]] & 2:
                        a -= 1
                    colons, digits = 0, 0
                    double: Any = False
                    for j in range(a, i):
                        digits += 48 <= data[j] <= 57
                    b = i
                    while b < stop and b - i < 45 and letters[data[b]] & 2:
                        colons += data[b] == 58
                        double = double or (data[b] == 58 and b > a and data[b - 1] == 58)
                        digits += 48 <= data[b] <= 57
                        b += 1
                    groups = b
                    # an address begins where no letter, digit, colon or dot stands before it
                    low: Any = a
                    while low > begin and a - low < 5 and letters[data[low - 1]] & 2:
                        low -= 1
                    cut = a - low == 5
                    if not cut and digits and b - a >= 4 and colons >= 2 and (double or colons >= 7):
                        result = 4
            else:  # a digit: the digits behind it, with single separators
                digits, dots, gap = 1, 0, 0
                at: Any = b
                while at < stop:
                    c = data[at]
                    if 48 <= c <= 57:
                        digits += 1
                        gap = 0
                        at += 1
                        b = np.int64(at)
                        continue
                    if gap == 2:
                        break
                    gap += 1
                    if c == 32 or c == 45 or c == 46 or c == 41 or c == 40 or c == 47:
                        dots += c == 46
                        at += 1
                    elif c == 0xC2 and at + 1 < stop and data[at + 1] == 0xA0:  # no-break space
                        at += 2
                    elif (
                        c == 0xE2
                        and at + 2 < stop
                        and data[at + 1] == 0x80
                        and (data[at + 2] == 0xAF or 0x90 <= data[at + 2] <= 0x93)
                    ):  # narrow no-break space, hyphens and dashes
                        at += 3
                    else:
                        break
                behind = b
                before = data[i - 1] if i > begin else 32
                letter = 97 <= (before | 32) <= 122 or before == 95
                if letter:  # a value may begin behind the digits that belong to a word
                    behind = np.int64(i + 1)
                    while behind < b and 48 <= data[behind] <= 57:
                        behind += 1
                if 65 <= before <= 90 or (before == 32 and i - 1 > begin and 65 <= data[i - 2] <= 90):
                    # capitals before it: the number of an account or of a person
                    head = i - 1 if before == 32 else i
                    capitals = 0
                    while head > begin and capitals < 3 and 65 <= data[head - 1] <= 90:
                        capitals += 1
                        head -= 1
                    if capitals == 2:
                        e: Any = i
                        n, spaces = 0, 0
                        while e < stop and e - i < 45 and spaces < 2:
                            c = data[e]
                            if (48 <= c <= 57) or (65 <= c <= 90):
                                n += 1
                                spaces = 0
                            elif c == 32:
                                spaces += 1
                            else:
                                break
                            e += 1
                        if (before != 32 and n >= 13) or (digits >= 6 and n >= 7):
                            a, b, result = head, max(e, b), 3
                    elif capitals == 1 and before != 32 and digits == 7:
                        result = 2
                        letter = False
                # dates as 2024-05-31 and 05/31/2024 are many
                dated = b - i == 10 and (
                    (data[i + 4] == 45 and data[i + 7] == 45) or (data[i + 2] == 47 and data[i + 5] == 47)
                )
                if result == 0 and not letter and not dated and (digits >= 7 or (dots >= 3 and digits >= 4)):
                    result = 2
            if result:
                if k == len(out):
                    out = np.concatenate((out, np.empty_like(out)))
                out[k, 0], out[k, 1], out[k, 2], out[k, 3] = row, a, b, result
                k += 1
            i = behind
    return out[:k]
