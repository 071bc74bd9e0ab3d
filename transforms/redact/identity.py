"""Payment cards, IBANs and national identity numbers: a pattern each, confirmed by a check of `checksums`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from corpusmill.transforms.redact import checksums as check
from corpusmill.transforms.redact.phones import is_announced
from corpusmill.transforms.redact.rules import BLANK, DASH, END, FREE, Candidate, Value


class _Pattern(NamedTuple):
    type: str
    regex: re.Pattern[bytes]
    check: Callable[[bytes], str | None]


def _pattern(type_: str, regex: bytes, test: Callable[[bytes], str | None], before: bytes = FREE) -> _Pattern:
    return _Pattern(type_, re.compile(before + regex + END), test)


_SEP = rb"(?:" + BLANK + rb"|" + DASH + rb")"
_NO_NUMBER = rb"(?<![0-9A-Za-z_.+-])"
_NO_GROUP_BEFORE, _NO_GROUP_AFTER = rb"(?<![0-9][ .-])", rb"(?![ .-][0-9])"

_NUMBERS = [
    _pattern(
        "card",
        rb"[2-6][0-9]{3}(?:[0-9]{8,15}|(" + _SEP + rb")[0-9]{4}\1[0-9]{4}(?:\1[0-9]{1,4}(?:\1[0-9]{1,3})?)?"
        rb"|(" + _SEP + rb")[0-9]{6}\2[0-9]{4,5})",
        check.card,
        _NO_NUMBER,
    ),
    _pattern("national_id", rb"[1-8][0-9]{16}[0-9Xx]", check.cn_resident),
    _pattern("national_id", rb"[0-9]{3}([- ])[0-9]{2}\1[0-9]{4}" + _NO_GROUP_AFTER, check.us_ssn, _NO_NUMBER + _NO_GROUP_BEFORE),
    _pattern("national_id", rb"[0-9]{6}-[1-8][0-9]{6}", check.kr_resident),
    _pattern("national_id", rb"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}", check.br_cpf),
    _pattern("national_id", rb"(?:[0-9]{8}|[XYZ][0-9]{7})-?[A-HJ-NP-TV-Z]", check.es_dni),
    _pattern("national_id", rb"[12] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}", check.fr_nir),
    _pattern(
        "national_id",
        rb"[2-9][0-9]{3}([ -])[0-9]{4}\1[0-9]{4}" + _NO_GROUP_AFTER,
        check.in_aadhaar,
        _NO_NUMBER + _NO_GROUP_BEFORE,
    ),
]  # fmt: skip
_LETTERED = [
    _pattern("iban", rb"[A-Z]{2}[0-9]{2}(?:" + BLANK + rb"?[A-Z0-9]){11,30}", check.iban),
    _pattern(
        "national_id",
        rb"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]",
        check.uk_nino,
    ),
]


def numbers(candidate: Candidate) -> Iterator[Value]:
    """Cards and national identity numbers of digits."""
    return _confirmed(candidate, _NUMBERS)


def lettered(candidate: Candidate) -> Iterator[Value]:
    """IBANs and national identity numbers that begin with letters."""
    return _confirmed(candidate, _LETTERED)


def _confirmed(candidate: Candidate, patterns: list[_Pattern]) -> Iterator[Value]:
    for pattern in patterns:
        for match in candidate.matches(pattern.regex):
            value = pattern.check(match[0])
            if value is not None and not (
                pattern.check is check.us_ssn and b" " in match[0] and _is_phone(candidate, match)
            ):
                # an IBAN's pattern may take in the capitals behind it
                stop = match.end() if pattern.type != "iban" else match.start() + _bytes_of(match[0], len(value))
                yield Value(match.start(), stop, pattern.type, value)


def _is_phone(candidate: Candidate, match: re.Match[bytes]) -> bool:
    """Whether a word says that a number is one of a phone."""
    return is_announced(candidate.before(match.start(), 48))


def _bytes_of(raw: bytes, letters: int) -> int:
    """How many bytes of `raw` hold its first `letters` letters and digits."""
    seen = 0
    for i, c in enumerate(raw):
        seen += c > 32 and c < 128
        if seen == letters:
            return i + 1
    return len(raw)
