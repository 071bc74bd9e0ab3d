"""Suggestions for mistyped names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

CUTOFF = 0.6
"""The least similarity (difflib's ratio) of a suggestion."""
CLEARLY_BETTER = 0.05
"""The second-best name is suggested too, unless the best is more similar by this much."""


def closest(word: str, known: Iterable[str]) -> list[str]:
    """At most two of the `known` names that are most like `word`. Case is ignored, and `_` counts as `-`.

    >>> closest("treshold", ["threshold", "bands"])
    ['threshold']
    """
    by_folded = {_folded(name): name for name in known}
    typed = _folded(word)
    matches = difflib.get_close_matches(typed, list(by_folded), n=2, cutoff=CUTOFF)
    if len(matches) == 2 and _similarity(typed, matches[0]) > _similarity(typed, matches[1]) + CLEARLY_BETTER:
        matches.pop()
    return [by_folded[match] for match in matches]


def nearest(word: str, known: Iterable[str]) -> str:
    """`did you mean ...?` with the closest known names, or an empty string.

    >>> nearest("treshold", ["threshold", "bands"])
    'did you mean `threshold`?'
    """
    matches = closest(word, known)
    return f"did you mean {' or '.join(f'`{match}`' for match in matches)}?" if matches else ""


def _folded(word: str) -> str:
    return word.lower().replace("_", "-")


def _similarity(a: str, b: str) -> float:
    return difflib.SequenceMatcher(None, a, b).ratio()
