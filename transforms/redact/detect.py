"""Finds personal values in text: a kernel marks stretches that may hold one, and rules decide on those alone.

Kernels also decide on addresses of ASCII letters and drop numbers that no rule takes. So the rules, which are Python, see few
stretches even of text that is full of addresses or numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from corpusmill.transforms.arrow import string_array, string_buffers
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.noise.buffers import put
from corpusmill.transforms.redact import addresses, groups
from corpusmill.transforms.redact.candidates import CLASSES, DIGITS, HEX, LETTER_CLASSES, LETTERS, MAIL, candidates
from corpusmill.transforms.redact.identity import lettered, numbers
from corpusmill.transforms.redact.internet import ipv4, ipv6
from corpusmill.transforms.redact.mail import mail
from corpusmill.transforms.redact.phones import international, national, phones
from corpusmill.transforms.redact.rules import Candidate, Match, Rule
from corpusmill.transforms.redact.scripts import ascii_digits

TYPES = ("email", "iban", "card", "national_id", "ip", "phone")
"""In the order of precedence where two overlap."""
ALL_TYPES = (*TYPES, "person")

_IDENTITY = (numbers, frozenset(("card", "national_id")))
_IPV4, _PHONE = (ipv4, frozenset(("ip",))), frozenset(("phone",))
_NUMBER_RULES: tuple[tuple[Rule, frozenset[str]], ...] = (_IDENTITY, _IPV4, (phones, _PHONE))
_RULES: dict[int, tuple[tuple[Rule, frozenset[str]], ...]] = {
    MAIL: ((mail, frozenset(("email",))),),
    groups.ANY: _NUMBER_RULES,
    groups.IDENTITY: (_IDENTITY,),
    groups.IPV4: (_IPV4,),
    groups.NATIONAL: ((national, _PHONE),),
    groups.INTERNATIONAL: ((international, _PHONE),),
    LETTERS: ((lettered, frozenset(("iban", "national_id"))), *_NUMBER_RULES),
    HEX: ((ipv6, frozenset(("ip",))),),
}
_TEN_DIGITS = np.array([0, 1, 2, 4, 5, 6, 8, 9, 10, 11])
"""Where the digits of 415-555-2671 stand."""
_BEFORE, _BEHIND = 64, 80  # bytes of context that rules look at


class Found(NamedTuple):
    """Values in order and without overlaps.

    spans: int64 [k, 3] of (row, first byte, byte behind) in the buffer of the texts. types: int8 [k], places in ALL_TYPES.
    values: the canonical form of each, made when it is called.
    """

    spans: np.ndarray
    types: np.ndarray
    values: Callable[[], pa.Array]


def find(texts: pa.Array, types: tuple[str, ...] = TYPES, others: list[Match] | None = None) -> Found:
    """The values in all rows. Of two that overlap the type that comes first in ALL_TYPES stays, then the longer, then the first.

    others: found elsewhere, as names are.
    """
    offsets, data = string_buffers(texts)
    folded = ascii_digits(offsets, data)
    parts = [_look(offsets, data, types, None if folded is None else folded.rows)]
    if folded is not None:
        parts.append(_look(folded.offsets, folded.data, types, None).moved(folded.places))
    matches = [m for part in parts for m in part.matches] + list(others or ())
    mails, americans, digits = (np.concatenate([part[k] for part in parts]) for k in range(3))
    spans = np.concatenate([mails, americans, np.array([m[:3] for m in matches], np.int64).reshape(-1, 3)])
    ranks = np.zeros(len(spans), np.int8)
    ranks[len(mails) :] = ALL_TYPES.index("phone")
    ranks[len(mails) + len(americans) :] = [ALL_TYPES.index(m.type) for m in matches]
    kept = _without_overlaps(spans, ranks)

    def values() -> pa.Array:
        lowered = np.empty(int((mails[:, 2] - mails[:, 1]).sum()), np.uint8)
        ends = np.zeros(len(mails) + 1, np.int32)
        _lower(data, mails, lowered, ends)
        tens = string_array(np.arange(0, 10 * len(digits) + 1, 10, dtype=np.int32), digits.reshape(-1))
        rest = pa.array([m.value for m in matches], pa.string())
        return pa.concat_arrays([string_array(ends, lowered), tens, rest]).take(pa.array(kept))

    return Found(spans[kept], ranks[kept], values)


class _Looked(NamedTuple):
    """What `_look` found. mails, americans: int64 [k, 3] of (row, first byte, byte behind); digits: uint8 [k, 10] of americans."""

    mails: np.ndarray
    americans: np.ndarray
    digits: np.ndarray
    matches: list[Match]

    def moved(self, places: np.ndarray) -> _Looked:
        """The same in the texts that `places` of `Folded` leads to."""
        mails, americans = (
            np.column_stack([spans[:, 0], places[spans[:, 1], 0], places[spans[:, 2] - 1, 1]]).astype(np.int64)
            for spans in (self.mails, self.americans)
        )
        matches = [m._replace(start=int(places[m.start, 0]), stop=int(places[m.stop - 1, 1])) for m in self.matches]
        return _Looked(mails, americans, self.digits, matches)


def _look(offsets: np.ndarray, data: np.ndarray, types: tuple[str, ...], skipped: np.ndarray | None) -> _Looked:
    """What the kernels and rules find. skipped: bool [n], rows that are looked at elsewhere."""
    stretches = candidates(offsets, data, CLASSES, LETTER_CLASSES)
    if skipped is not None:
        stretches = stretches[~skipped[stretches[:, 0]]]
    kinds = stretches[:, 3]
    mails, asked = np.empty((0, 3), np.int64), stretches[:0]
    if "email" in types:
        mails, asked = addresses.decide(offsets, data, stretches[kinds == MAIL])
    sifted = groups.sift(offsets, data, stretches[kinds == DIGITS])
    americans = sifted[sifted[:, 3] == groups.AMERICAN, :3] if "phone" in types else sifted[:0, :3]
    digits = data[americans[:, 1, None] + _TEN_DIGITS]
    rest = [asked, sifted[sifted[:, 3] != groups.AMERICAN], stretches[(kinds == LETTERS) | (kinds == HEX)]]
    matches: list[Match] = []
    for row, start, stop, kind in np.concatenate(rest).tolist():
        rules = [rule for rule, found in _RULES[kind] if not found.isdisjoint(types)]
        if not rules:
            continue
        low = max(int(offsets[row]), start - _BEFORE)
        candidate = Candidate(data[low : min(int(offsets[row + 1]), stop + _BEHIND)].tobytes(), start - low, stop - low)
        for rule in rules:
            for value in rule(candidate):
                if value.type in types:
                    matches.append(Match(row, low + value.start, low + value.stop, value.type, value.value))
    return _Looked(mails, americans, digits, matches)


def detect(texts: pa.Array, types: tuple[str, ...] = TYPES) -> list[Match]:
    """What `find` finds, as a list.

    >>> [(m.type, m.value) for m in detect(pa.array(["mail Ann@Example.org or call +44 20 7946 0958"]))]
    [('email', 'ann@example.org'), ('phone', '+442079460958')]
    """
    found = find(texts, types)
    rows = zip(found.spans.tolist(), found.types.tolist(), found.values().to_pylist(), strict=True)
    return [Match(row, start, stop, ALL_TYPES[rank], value) for (row, start, stop), rank, value in rows]


def _without_overlaps(spans: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """int64: which spans stay, in the order of their places."""
    order = np.argsort(spans[:, 1], kind="stable")
    starts, stops = spans[order, 1], spans[order, 2]
    if not (starts[1:] < np.maximum.accumulate(stops)[:-1]).any():
        return order
    preferred = np.lexsort((spans[:, 1], spans[:, 1] - spans[:, 2], ranks))
    kept = preferred[_free(spans, preferred, np.zeros(int(stops.max() - starts[0]), np.bool_), int(starts[0]))]
    return kept[np.argsort(spans[kept, 1])]


@njit(nogil=True, cache=True)
def _free(spans: Any, order: Any, taken: Any, base: int) -> Any:
    """bool [k]: whether the span order[k] touches none of those before it that stay. taken: a flag for each byte from `base`."""
    out = np.zeros(len(order), np.bool_)
    for k in range(len(order)):
        start, stop = spans[order[k], 1] - base, spans[order[k], 2] - base
        free = True
        for p in range(start, stop):
            if taken[p]:
                free = False
                break
        if free:
            for p in range(start, stop):
                taken[p] = True
        out[k] = free
    return out


@njit(nogil=True, cache=True)
def _lower(data: Any, spans: Any, out: Any, ends: Any) -> None:
    """The bytes of spans of ASCII, in lower case, one behind the other; ends int32 [k + 1]."""
    o = 0
    for k in range(len(spans)):
        o = put(out, o, data, spans[k, 1], spans[k, 2])
        ends[k + 1] = o
    for p in range(o):
        if 65 <= out[p] <= 90:
            out[p] |= 32
