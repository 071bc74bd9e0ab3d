"""SPDX licence expressions against a list of wanted licences.

Source: SPDX specification 2.3, annex D. `WITH` binds closest, then `AND`, then `OR`.
"""

from __future__ import annotations

import functools
import re
from fnmatch import fnmatchcase

_WORD = re.compile(r"\(|\)|[^\s()]+")


@functools.lru_cache(65536)
def allows(expression: str, wanted: tuple[str, ...]) -> bool:
    """Whether licences of `wanted` (names, or patterns as `CC-BY-*`) satisfy an expression: one choice of `OR`, all parts of `AND`.

    >>> allows("MIT OR GPL-2.0-only", ("MIT",)), allows("MIT AND GPL-2.0-only", ("MIT",))
    (True, False)
    """
    words = _WORD.findall(expression)
    answer, rest = _or(words, wanted, 0)
    return answer and not rest


def _or(words: list[str], wanted: tuple[str, ...], depth: int) -> tuple[bool, list[str]]:
    answer, rest = _and(words, wanted, depth)
    while rest and rest[0].upper() == "OR":
        other, rest = _and(rest[1:], wanted, depth)
        answer = answer or other
    return answer, rest


def _and(words: list[str], wanted: tuple[str, ...], depth: int) -> tuple[bool, list[str]]:
    answer, rest = _one(words, wanted, depth)
    while rest and rest[0].upper() == "AND":
        other, rest = _one(rest[1:], wanted, depth)
        answer = answer and other
    return answer, rest


def _one(words: list[str], wanted: tuple[str, ...], depth: int) -> tuple[bool, list[str]]:
    if not words or depth > 50:
        return False, []
    if words[0] == "(":
        answer, rest = _or(words[1:], wanted, depth + 1)
        return (answer, rest[1:]) if rest and rest[0] == ")" else (False, [])
    name, rest = words[0], words[1:]
    if len(rest) > 1 and rest[0].upper() == "WITH":
        name, rest = f"{name} WITH {rest[1]}", rest[2:]
    plain = name.partition(" WITH ")[0].lower()
    return any(fnmatchcase(name.lower(), w.lower()) or fnmatchcase(plain, w.lower()) for w in wanted), rest
