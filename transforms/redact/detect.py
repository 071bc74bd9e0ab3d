"""Finds personal values in text: a kernel marks where one may be, patterns and checksums decide on those windows alone.

Documents without an at sign, a long number or an address of hexadecimal groups cost one pass over their bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.redact import checksums as check

TYPES = ("email", "iban", "card", "national_id", "ip", "phone")
"""In the order of precedence where two overlap."""

_MAIL, _DIGITS, _LETTERS, _HEX = 1, 2, 3, 4


class Found(NamedTuple):
    """A value: its row, its bytes start:stop in the buffer, its type, its canonical form."""

    row: int
    start: int
    stop: int
    type: str
    value: str


class _Pattern(NamedTuple):
    type: str
    regex: re.Pattern[bytes]
    check: Callable[[bytes], str | None]


_FREE, _END = rb"(?<![0-9A-Za-z_])", rb"(?![0-9A-Za-z_])"


def _rule(type_: str, pattern: bytes, test: Callable[[bytes], str | None], before: bytes = _FREE) -> _Pattern:
    return _Pattern(type_, re.compile(before + pattern + _END), test)


# what follows an at sign in names of files and is no top-level domain
_NO_DOMAIN = rb"(?:png|jpe?g|gif|svg|webp|css|js|ts|py|html?|json|md|ya?ml|txt|zip|gz|local|service)"
_MAILS = [
    _Pattern(
        "email",
        re.compile(
            rb"(?<![A-Za-z0-9._%+-])[A-Za-z0-9](?:[A-Za-z0-9!#$&*?^_~.%+-]|'(?=[A-Za-z0-9])){0,63}"
            rb"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+(?!"
            + _NO_DOMAIN
            + rb"\b)[A-Za-z]{2,24}(?![A-Za-z0-9_-])"
        ),
        lambda v: None if b".." in v or b".@" in v else v.decode().lower(),
    )
]


def _phone(value: bytes) -> str | None:
    digits = check.digits_of(value)
    # dates such as 01-12-2020 and single repeated digits are no numbers to call
    if not 8 <= len(digits) <= 15 or len(set(digits)) < 3:
        return None
    return ("+" if value.lstrip().startswith(b"+") else "") + digits


_D = rb"[0-9]"
_DIGIT_RULES = [
    _rule("card", rb"[2-6][0-9]{3}(?:[ -]?[0-9]{2,6}){2,4}[0-9]?", check.card, rb"(?<![0-9A-Za-z_.+-])"),
    _rule("national_id", rb"[1-8][0-9]{16}[0-9Xx]", check.cn_resident),
    _rule("national_id", rb"[0-9]{3}([- ])[0-9]{2}\1[0-9]{4}(?!-[0-9])", check.us_ssn, rb"(?<![0-9A-Za-z_.+-])"),
    _rule("national_id", rb"[0-9]{6}-[1-8][0-9]{6}", check.kr_resident),
    _rule("national_id", rb"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}", check.br_cpf),
    _rule("national_id", rb"(?:[0-9]{8}|[XYZ][0-9]{7})-?[A-HJ-NP-TV-Z]", check.es_dni),
    _rule("national_id", rb"[12] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}", check.fr_nir),
    _rule("national_id", rb"[2-9][0-9]{3}([ -])[0-9]{4}\1[0-9]{4}", check.in_aadhaar),
    _rule(
        "ip",
        rb"(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?!\.[0-9])",
        check.ipv4,
        # four numbers behind `version`, `v` or an operator are a version
        rb"(?<![0-9A-Za-z_.-])(?<!version )(?<!Version )(?<!version: )(?<!ersion=)(?<!=\")(?<!>=)(?<!==)(?<!~=)",
    ),
    # an international number
    _rule(
        "phone",
        rb"\+[1-9][0-9]{0,2}[ .-]?(?:\(0?[0-9]{1,4}\)[ .-]?)?[0-9]{1,4}(?:[ .-]?[0-9]{2,4}){1,4}",
        _phone,
        rb"(?<![0-9A-Za-z_+.-])",
    ),
    # North America: area and exchange begin with 2 to 9
    _rule(
        "phone",
        rb"(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}([ .-]))[2-9][0-9]{2}[ .-][0-9]{4}(?![.-][0-9])",
        _phone,
        rb"(?<![0-9A-Za-z_+.(-])",
    ),
    # China: mobile, and with area code
    _rule("phone", rb"1[3-9][0-9]([ -]?)[0-9]{4}\1[0-9]{4}", _phone, rb"(?<![0-9A-Za-z_+.,-])"),
    # Japan, Korea, Britain, Germany, France and others: a leading zero and two or more groups
    _rule("phone", rb"\(?0[1-9][0-9]{0,3}\)?[ -][0-9]{2,4}[ -][0-9]{3,4}(?![.-][0-9])", _phone, rb"(?<![0-9A-Za-z_+.,:-])"),
    _rule("phone", rb"\(?0[1-9][0-9]{1,4}\)?[ -][0-9]{5,8}(?![.-][0-9])", _phone, rb"(?<![0-9A-Za-z_+.,:-])"),
    # five pairs, but no part of a longer row of pairs
    _rule(
        "phone",
        rb"0[1-9](?:([ .])[0-9]{2})(?:\1[0-9]{2}){3}(?![ .,]?[0-9])",
        _phone,
        rb"(?<![0-9A-Za-z_+.,:-])(?<![^A-Za-z][0-9A-Fa-f]{2} )",
    ),
]  # fmt: skip
_LETTER_RULES = [
    _rule("iban", rb"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}", check.iban),
    _rule("national_id", rb"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]", check.uk_nino),
]
_COLONS = rb"(?<![0-9A-Za-z_:.])"
_HEX_RULES = [
    _Pattern(
        "ip",
        re.compile(_COLONS + rb"[0-9A-Fa-f:]{3,38}[0-9A-Fa-f](?:\.[0-9]{1,3}){0,3}(?![0-9A-Za-z_]|:[0-9A-Fa-f:])"),
        check.ipv6,
    ),
    _Pattern("ip", re.compile(_COLONS + rb"(?:[0-9A-Fa-f]{1,4}:){1,7}:(?![0-9A-Za-z_:])"), check.ipv6),
]
_RULES = {_MAIL: _MAILS, _DIGITS: _DIGIT_RULES, _LETTERS: _LETTER_RULES + _DIGIT_RULES, _HEX: _HEX_RULES}
_BEFORE, _BEHIND = 12, 4  # bytes of context that patterns look at


def _classes() -> np.ndarray:
    out = np.zeros(256, np.uint8)
    out[48:58] = 1
    out[64], out[58] = 2, 3
    return out


def _letters() -> np.ndarray:
    """1 = may stand in an address before or behind its at sign; 2 = hexadecimal, colon or dot."""
    out = np.zeros(256, np.uint8)
    for c in b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$&'*/=?^_`{|}~.%+-":
        out[c] |= 1
    for c in b"0123456789abcdefABCDEF:.":
        out[c] |= 2
    return out


_CLASS, _LETTER = _classes(), _letters()


@njit(nogil=True, cache=True)
def _windows(offsets: Any, data: Any, classes: Any, letters: Any) -> Any:
    """int64 [k, 4]: (row, start, stop, kind) of the stretches that may hold a value. They may overlap: what stands behind an
    at sign or a colon may be a number as well."""
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
            a, b, found = np.int64(i), np.int64(i + 1), 0
            behind: Any = b  # where to go on
            if kind == 2:  # an at sign: its surroundings
                while a > begin and i - a < 64 and letters[data[a - 1]] & 1:
                    a -= 1
                dots = 0
                while b < stop and b - i < 255 and letters[data[b]] & 1:
                    dots += data[b] == 46
                    b += 1
                if a < i and dots:
                    found = 1
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
                    if digits and b - a >= 4 and colons >= 2 and (double or colons >= 7):
                        found = 4
            else:  # a digit: the digits behind it, with single separators
                digits, dots, gap = 1, 0, 0
                while b < stop:
                    c = data[b]
                    if 48 <= c <= 57:
                        digits += 1
                        gap = 0
                    elif gap < 2 and (c == 32 or c == 45 or c == 46 or c == 41 or c == 40):
                        gap += 1
                        dots += c == 46
                    else:
                        break
                    b += 1
                b -= gap
                behind = b
                before = data[i - 1] if i > begin else 32
                letter = 97 <= (before | 32) <= 122 or before == 95
                if letter:  # a value may begin behind the digits that belong to a word
                    behind = np.int64(i + 1)
                    while behind < b and 48 <= data[behind] <= 57:
                        behind += 1
                if 65 <= before <= 90 or (before == 32 and i - 1 > begin and 65 <= data[i - 2] <= 90):
                    # capitals before it: the number of an account or of a person
                    j = i - 1 if before == 32 else i
                    capitals = 0
                    while j > begin and capitals < 3 and 65 <= data[j - 1] <= 90:
                        capitals += 1
                        j -= 1
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
                            a, b, found = j, max(e, b), 3
                    elif capitals == 1 and before != 32 and digits == 7:
                        found = 2
                        letter = False
                # dates as in 2024-05-31 are many
                dated = b - i == 10 and data[i + 4] == 45 and data[i + 7] == 45
                if found == 0 and not letter and not dated and (digits >= 7 or (dots >= 3 and digits >= 4)):
                    found = 2
            if found:
                if k == len(out):
                    out = np.concatenate((out, np.empty_like(out)))
                out[k, 0], out[k, 1], out[k, 2], out[k, 3] = row, a, b, found
                k += 1
            i = behind
    return out[:k]


def detect(texts: pa.Array, types: tuple[str, ...] = TYPES) -> list[Found]:
    """The values in all rows, in order, without overlaps: of two that overlap the type that is first in TYPES stays, then the
    longer.

    >>> [(f.type, f.value) for f in detect(pa.array(["mail Ann@Example.org or call +44 20 7946 0958"]))]
    [('email', 'ann@example.org'), ('phone', '+442079460958')]
    """
    offsets, data = string_buffers(texts)
    hits: list[Found] = []
    for row, a, b, kind in _windows(offsets, data, _CLASS, _LETTER).tolist():
        low = max(int(offsets[row]), a - _BEFORE)
        high = min(int(offsets[row + 1]), b + _BEHIND)
        window = data[low:high].tobytes()
        for rule in _RULES[kind]:
            if rule.type not in types:
                continue
            for match in rule.regex.finditer(window):
                start, stop = match.span()
                if low + stop <= a or low + start >= b:
                    continue  # of another window, and maybe cut
                value = rule.check(match[0])
                if rule.type == "iban" and value is not None:
                    stop = start + _length_of(match[0], len(value))
                if rule.type == "phone" and match[0].startswith(b"(") and b")" not in match[0]:
                    start += 1
                if value is not None:
                    hits.append(Found(row, low + start, low + stop, rule.type, value))
    rank = {t: i for i, t in enumerate(TYPES)}
    taken: dict[int, list[Found]] = {}
    for hit in sorted(set(hits), key=lambda f: (f.row, rank[f.type], f.start - f.stop, f.start)):
        others = taken.setdefault(hit.row, [])
        if all(hit.stop <= o.start or hit.start >= o.stop for o in others):
            others.append(hit)
    return sorted((f for found in taken.values() for f in found), key=lambda f: f.start)


def _length_of(raw: bytes, letters: int) -> int:
    """How many bytes of `raw` hold its first `letters` characters that are no blanks."""
    seen = 0
    for i, c in enumerate(raw):
        seen += c != 32
        if seen == letters:
            return i + 1
    return len(raw)
