"""Phone numbers: shapes find candidates, `phonenumbers` (Google's libphonenumber) says which exist, context decides the rest.

International numbers (E.164, with a plus sign) count as phones. A national number counts if it has a usual shape of
phones and is valid in a country that uses that shape, or if a word such as "tel." precedes it. Dates, times, rows of
small numbers, amounts, and numbers after words such as "order" or "ISBN" do not count.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from datetime import date

from corpusmill.transforms.redact.checksums import digits_of
from corpusmill.transforms.redact.cues import NUMBER_WORD, PHONE_WORD
from corpusmill.transforms.redact.rules import BLANK, DASH, Candidate, Value

_SEP = rb"(?:" + BLANK + rb"|" + DASH + rb"|[./])"
_END = rb"(?![0-9A-Za-wyz_]|x(?![0-9]{1,6}(?![0-9A-Za-z_])))"
"""Where a number ends; an extension as x123 may stand behind it."""
_INTERNATIONAL = re.compile(
    rb"(?<![0-9A-Za-z_+.])(?:(?:\+|00(?=[1-9][0-9]{0,2}[ .(-]))[1-9][0-9]{0,3}|\(\+[1-9][0-9]{0,3}\)|\+\([1-9][0-9]{0,3}\))"
    rb"(?:" + _SEP + rb"?\(0\))?"
    rb"(?:" + _SEP + rb"?\([0-9]{1,5}\)|" + _SEP + rb"{0,2}[0-9]{1,12}){1,7}" + _END
)
_NATIONAL = re.compile(
    rb"(?<![0-9A-Za-z_+.])(?:\([0-9]{1,6}\)|\([0-9]{1,3}[ -][0-9]{1,4}\)|[0-9]{1,12})(?:"
    + _SEP
    + rb"{0,2}\([0-9]{1,5}\)|"
    + _SEP
    + rb"{1,2}[0-9]{1,10}|"
    rb"(?<=\))[0-9]{1,10}){0,6}" + _END
)

_DOTTED = re.compile(rb"\+[0-9]{1,3} [0-9]+(?:\.[0-9]+)+")

_LEADING_ZERO = tuple(
    """GB DE FR JP KR CN IT NL BE CH AT SE FI AU NZ ZA TR UA IN ID TH TW IL EG RO IE VN MY AR PH PK IR SA AE MA NG KE HR RS BG SI
    SK LT AL""".split()
)
"""Countries whose national numbers are written with a leading zero."""
_ANYWHERE = (
    *_LEADING_ZERO,
    *"US CA ES PT PL CZ NO DK GR HU RU KZ BR MX CO CL PE VE HK SG EC UY LU LV EE IS".split(),
)


@functools.lru_cache(maxsize=1 << 14)
def _valid(digits: str, regions: tuple[str, ...]) -> bool:
    """Whether the digits, as dialled within a country, are a number of one of the regions."""
    import phonenumbers

    for region in regions:
        try:
            number = phonenumbers.parse(digits, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number_for_region(number, region):
            return True
    return False


@functools.lru_cache(maxsize=1 << 14)
def _international(digits: str) -> tuple[bool, bool]:
    """(valid, possible) for digits that begin with a country code."""
    import phonenumbers

    try:
        number = phonenumbers.parse("+" + digits, None)
    except phonenumbers.NumberParseException:
        return False, False
    return phonenumbers.is_valid_number(number), phonenumbers.is_possible_number(number)


def _is_date(groups: list[str]) -> bool:
    """Whether three groups of digits are a date in any order, or the first of them with a time behind."""
    for i in range(min(2, max(0, len(groups) - 2))):
        a, b, c = groups[i : i + 3]
        for year, month, day in ((a, b, c), (c, b, a), (c, a, b)):
            if len(year) == 4 and len(month) <= 2 and len(day) <= 2 and 1800 <= int(year) <= 2199:
                try:
                    date(int(year), int(month), int(day))
                    return True
                except ValueError:
                    continue
    return False


def _is_row(groups: list[str]) -> bool:
    """Whether the groups are a row of small numbers: pairs that rise up to 60, or all groups of one or two digits but pairs."""
    pairs = all(len(g) <= 2 for g in groups)
    numbers = [int(g) for g in groups]
    if pairs and all(a < b for a, b in zip(numbers, numbers[1:])) and numbers[-1] <= 60:
        return True
    return pairs and (len(groups) != 5 or any(len(g) == 1 for g in groups)) and len(groups) != 4


_FR = re.compile(rb"0[1-9](?:" + BLANK + rb"|[.-])?(?:[0-9]{2}(?:" + BLANK + rb"|[.-])?){3}[0-9]{2}")
_US = re.compile(
    rb"(?:1[ .-])?(?:\([2-9][0-9]{2}\)" + BLANK + rb"?[2-9][0-9]{2}[ .-][0-9]{4}"
    rb"|[2-9][0-9]{2}(?P<s>" + BLANK + rb"|[.-])[2-9][0-9]{2}(?:(?P=s)|-)[0-9]{4})"
)
_CN = re.compile(rb"1[3-9][0-9](?P<s>[ -]?)[0-9]{4}(?P=s)[0-9]{4}")
_RU = re.compile(
    rb"(?:[78][ -]?)?\([3489][0-9]{2,3}\)[ -]?[0-9]{2,3}[ -]?[0-9]{2}[ -]?[0-9]{2}"
    rb"|8[ -][3489][0-9]{2}[ -][0-9]{3}[ -][0-9]{2}[ -][0-9]{2}"
)
_BR = re.compile(rb"\(?[1-9][0-9]\)?" + BLANK + rb"?9?[0-9]{4}[ -][0-9]{4}")
_IBERIA = re.compile(
    rb"[6789][0-9]{2}(?P<s>"
    + BLANK
    + rb"|[.-])[0-9]{2}(?P=s)[0-9]{2}(?P=s)[0-9]{2}|[1-9][0-9]"
    + BLANK
    + rb"[0-9]{3}(?P<t>[ -])[0-9]{2}(?P=t)[0-9]{2}|[5-9][0-9]{2}(?P<u>[.-])[0-9]{3}(?P=u)[0-9]{3}"
)
_INDIA = re.compile(rb"[6-9][0-9]{4}(?:" + BLANK + rb"|-)[0-9]{5}")
_TEN = re.compile(rb"[1-9][0-9]" + BLANK + rb"[0-9]{4}[ -][0-9]{4}")
_MOBILE = {
    "06": ((10, "FR"),), "07": ((10, "FR"), (11, "GB")), "09": ((11, "JP"),), "08": ((11, "JP"),), "01": ((11, "KR"),),
    "04": ((10, "AU"),), "05": ((11, "TR"),),
}  # fmt: skip
"""Length and country of mobile numbers that are written without separators, by their first two digits."""
_GROUPS = frozenset(
    tuple(map(int, lengths))
    for lengths in "244 234 233 2322 344 334 333 343 3322 3222 38 37 36 35 433 434 46 47 45 4322 4222 56 55 57 58 533 65".split()
)
"""Lengths of the groups in which national numbers with a leading zero are written."""
_HYPHENED = frozenset(((2, 8), (2, 7), (2, 6)))


def _shaped(raw: bytes, groups: list[str], digits: str) -> bool:
    """Whether a national number without a cue has a usual shape of phones and exists in a country that uses that
    shape."""
    if _US.fullmatch(raw) or _CN.fullmatch(raw):
        return True
    if digits[0] == "0":
        if len(groups) == 1:
            return any(len(digits) == n and _valid(digits, (region,)) for n, region in _MOBILE.get(digits[:2], ()))
        if _FR.fullmatch(raw) and _valid(digits, ("FR",)):
            return True
        # groups of two digits and many stand in tables, those with a hyphen do not
        lengths = tuple(map(len, groups))
        grouped = lengths in _GROUPS or (lengths in _HYPHENED and (b"-" in raw or b"/" in raw))
        return grouped and b"." not in raw and (b"/" not in raw or len(groups) == 2) and _valid(digits, _LEADING_ZERO)
    if _RU.fullmatch(raw):
        return _valid(digits, ("RU",))
    if raw[:1] == b"(":
        return len(digits) >= 9 and _valid(digits, ("BR", "MX", "ES", "PL", "UA", *_ANYWHERE))
    if _IBERIA.fullmatch(raw):
        return _valid(digits, ("ES", "PT", "PL", "CZ"))
    if _INDIA.fullmatch(raw):
        return _valid(digits, ("IN",))
    return bool(_BR.fullmatch(raw) and b"-" in raw and _valid(digits, ("BR",))) or bool(
        _TEN.fullmatch(raw) and _valid(digits, ("MX", "AR"))
    )


_THREE = re.compile(r"\d{3}")
_SIGN = re.compile(r"[^\W\d_]|[^\x00-\xb5]|[#$£¥§°]")
"""What a telling word or sign has in it."""


def is_announced(before: str) -> bool:
    """Whether a cue such as "tel." ends within 24 characters before a number, with no other number in between."""
    cut = max((number.end() for number in _THREE.finditer(before)), default=0)
    if not _SIGN.search(before, cut):
        return False
    ends = [word.end() for word in PHONE_WORD.finditer(before)]
    if not ends or len(before) - ends[-1] > 24:
        return False
    between = before[ends[-1] :]
    return not re.search(r"\d{3}|\w\s*\n", between)


def _is_national(text: Candidate, start: int, stop: int) -> bool:
    """Whether text[start:stop], digits and separators, is a phone number as dialled within a country."""
    raw = text.text[start:stop]
    digits = digits_of(raw)
    if not 7 <= len(digits) <= 13 or len(set(digits)) < 3:
        return False
    groups = re.findall(r"[0-9]+", raw.decode("utf-8", "replace"))
    if _is_date(groups) or _in_row(text.text, start, stop, groups):
        return False
    before = text.before(start, 64)
    line = before.rpartition("\n")[2]
    # a word stands behind the last digit of the line, if there is one
    if _SIGN.search(re.split(r"\d", line)[-1]) and NUMBER_WORD.search(line):
        return False
    shaped = _shaped(raw, groups, digits)
    if shaped and not _is_row(groups):
        return True
    return is_announced(before[-48:]) and (
        shaped
        or _valid(digits, _ANYWHERE)
        or (1 < len(groups) <= 5 and b"." not in raw)
        or (len(groups) == 1 and digits[0] == "0" and 9 <= len(digits) <= 12)
    )


_DECIMAL_BEFORE, _DECIMAL_AFTER = (
    re.compile(rb"(?:[0-9][,.:/-]|[~^]|(?<![\x80-\xff:\s])-|[^\s:]/)$"),
    re.compile(rb"[.,:/-][0-9]|%|[$]|\xe2\x82\xac"),
)
_NUMBER_BEFORE, _NUMBER_AFTER = re.compile(rb"[0-9](?: |\xc2\xa0)$"), re.compile(rb" [0-9]")
_HEX_AFTER = re.compile(rb" [0-9A-Fa-f]{2}(?![0-9A-Za-z])")
_HEX_BEFORE = re.compile(rb"(?<![A-Za-z])[0-9A-Fa-f]{2} $")


def _in_row(text: bytes, start: int, stop: int, groups: list[str]) -> bool:
    """Whether text[start:stop] is a part of a longer row of numbers, of a decimal, a hexadecimal dump or an amount."""
    raw, before, after = text[start:stop], text[max(0, start - 4) : start], text[stop : stop + 3]
    if _DECIMAL_BEFORE.search(before) or _DECIMAL_AFTER.match(after):
        return True
    if all(len(g) == 2 for g in groups) and (_HEX_BEFORE.search(before) or _HEX_AFTER.match(text[stop : stop + 4])):
        return True
    # a blank separates a number that is written without blanks from others
    spaced = len(groups) == 1 or re.search(BLANK, raw) is not None
    return spaced and (
        (raw[:1] != b"(" and _NUMBER_BEFORE.search(before) is not None)
        or (b"-" not in raw and _NUMBER_AFTER.match(after) is not None)
    )


def _spans(match: re.Match[bytes]) -> Iterator[tuple[int, int]]:
    """Yield the whole match, then parts that may be a number: a North American one, and the parts between blanks."""
    yield match.span()
    raw = match[0]
    if not re.search(BLANK, raw):
        return
    for part in (*_US.finditer(raw), *re.finditer(rb"[^ \xa0\xaf]+", raw)):
        if part.span() != (0, len(raw)) and part[0][-1:].isdigit():
            yield match.start() + part.start(), match.start() + part.end()


def phones(candidate: Candidate) -> Iterator[Value]:
    """The phone numbers of a stretch of digits. Canonical form: its digits, behind a plus sign where it has one."""
    done = -1
    for value in international(candidate):
        done = value.stop
        yield value
    at = max(0, candidate.start - 4)
    while (match := _NATIONAL.search(candidate.text, at)) is not None and match.start() < candidate.stop:
        at = _behind(match)
        if match.end() > candidate.start:
            for value in _within(candidate, match, done):
                done = value.stop
                yield value


def _behind(match: re.Match[bytes]) -> int:
    """Where to look on behind a match of `_NATIONAL`: one that has all the groups it can may end within the next number."""
    last = [*re.finditer(BLANK, match[0])] if len(re.findall(rb"[0-9]+", match[0])) >= 7 else []
    return match.start() + last[-1].end() if last else match.end()


def international(candidate: Candidate) -> Iterator[Value]:
    """The phone numbers of a stretch that begin with the code of a country."""
    for match in candidate.matches(_INTERNATIONAL):
        raw, plus = match[0], b"+" in match[0][:2]
        digits = digits_of(re.sub(rb"\(0\)", b"", raw)).removeprefix("" if plus else "00")
        valid, possible = _international(digits)
        groups = re.findall(r"[0-9]+", raw.decode("utf-8", "replace"))
        few, many = (len(digits) >= 9 and len(groups) > 2), (len(digits) >= 10 + (len(groups) == 1))
        grouped = plus and b"." not in raw and (few or many)
        if b"." in raw and re.search(BLANK, raw) and not (valid and _DOTTED.fullmatch(raw)):  # amounts and coordinates
            continue
        if not plus and _in_row(candidate.text, *match.span(), groups):
            continue
        if len(set(digits)) >= 3 and (valid or (possible and grouped)):
            yield Value(match.start(), match.end(), "phone", "+" + digits)


def national(candidate: Candidate) -> Iterator[Value]:
    """The phone numbers of a stretch that is cut as a national number is."""
    match = _NATIONAL.match(candidate.text, candidate.start, candidate.stop)
    if match is not None:
        yield from _within(candidate, match, -1)


def _within(candidate: Candidate, match: re.Match[bytes], done: int) -> Iterator[Value]:
    """The national numbers in a match of `_NATIONAL`, from the byte `done` on."""
    for start, stop in _spans(match):
        if start >= done and _is_national(candidate, start, stop):
            done = stop
            yield Value(start, stop, "phone", digits_of(candidate.text[start:stop]))
