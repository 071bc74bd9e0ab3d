"""Finds personal values in text: a kernel marks stretches that may hold one, and rules decide on those alone."""

from __future__ import annotations

import pyarrow as pa

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.redact.candidates import CLASSES, DIGITS, HEX, LETTER_CLASSES, LETTERS, MAIL, candidates
from corpusmill.transforms.redact.identity import lettered, numbers
from corpusmill.transforms.redact.internet import ipv4, ipv6
from corpusmill.transforms.redact.mail import mail
from corpusmill.transforms.redact.phones import phones
from corpusmill.transforms.redact.rules import Candidate, Match, Rule

TYPES = ("email", "iban", "card", "national_id", "ip", "phone")
"""In the order of precedence where two overlap."""

_NUMBER_RULES: tuple[tuple[Rule, frozenset[str]], ...] = (
    (numbers, frozenset(("card", "national_id"))),
    (ipv4, frozenset(("ip",))),
    (phones, frozenset(("phone",))),
)
_RULES: dict[int, tuple[tuple[Rule, frozenset[str]], ...]] = {
    MAIL: ((mail, frozenset(("email",))),),
    DIGITS: _NUMBER_RULES,
    LETTERS: ((lettered, frozenset(("iban", "national_id"))), *_NUMBER_RULES),
    HEX: ((ipv6, frozenset(("ip",))),),
}
_BEFORE, _BEHIND = 64, 80  # bytes of context that rules look at


def detect(texts: pa.Array, types: tuple[str, ...] = TYPES) -> list[Match]:
    """The values in all rows, in order and without overlaps.

    Of two values that overlap the type that comes first in TYPES stays, then the longer, then the first.

    >>> [(m.type, m.value) for m in detect(pa.array(["mail Ann@Example.org or call +44 20 7946 0958"]))]
    [('email', 'ann@example.org'), ('phone', '+442079460958')]
    """
    offsets, data = string_buffers(texts)
    matches: list[Match] = []
    for row, start, stop, kind in candidates(offsets, data, CLASSES, LETTER_CLASSES).tolist():
        low = max(int(offsets[row]), start - _BEFORE)
        high = min(int(offsets[row + 1]), stop + _BEHIND)
        candidate = Candidate(data[low:high].tobytes(), start - low, stop - low)
        for rule, kinds in _RULES[kind]:
            if kinds.isdisjoint(types):
                continue
            for value in rule(candidate):
                if value.type in types:
                    matches.append(Match(row, low + value.start, low + value.stop, value.type, value.value))
    return without_overlaps(matches)


def without_overlaps(matches: list[Match]) -> list[Match]:
    """The matches in order, without those that overlap one of higher precedence. Time is linear in their bytes."""
    rank = {t: i for i, t in enumerate((*TYPES, "person"))}
    kept: list[Match] = []
    taken: dict[int, int] = {}  # a bit for each of the 64 bytes of a block of the buffer
    for match in sorted(set(matches), key=lambda m: (rank[m.type], m.start - m.stop, m.start)):
        masks = list(_blocks(match.start, match.stop))
        if not any(taken.get(block, 0) & mask for block, mask in masks):
            for block, mask in masks:
                taken[block] = taken.get(block, 0) | mask
            kept.append(match)
    return sorted(kept, key=lambda m: m.start)


def _blocks(start: int, stop: int) -> list[tuple[int, int]]:
    """The bytes start:stop as (number of a block of 64 bytes, bits within it)."""
    out = []
    while start < stop:
        end = min(stop, (start | 63) + 1)
        out.append((start >> 6, ((1 << (end - start)) - 1) << (start & 63)))
        start = end
    return out
