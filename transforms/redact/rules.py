"""Parts that the rules share: a candidate with its surroundings, a match, and separators of numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple


class Match(NamedTuple):
    """A value: its row, its bytes start:stop in the buffer, its type, its canonical form."""

    row: int
    start: int
    stop: int
    type: str
    value: str


class Candidate(NamedTuple):
    """A stretch `text[start:stop]` that may hold values, with some bytes of its document before and behind it."""

    text: bytes
    start: int
    stop: int

    def before(self, at: int, size: int = 40) -> str:
        """The text of up to `size` bytes before the byte `at`, in lower case."""
        return self.text[max(0, at - size) : at].decode("utf-8", "ignore").lower()

    def matches(self, pattern: re.Pattern[bytes]) -> Iterator[re.Match[bytes]]:
        """The matches that lie, in whole or in part, in the stretch."""
        for match in pattern.finditer(self.text, max(0, self.start - 4)):
            if match.start() >= self.stop:
                return
            if match.end() > self.start:
                yield match


class Value(NamedTuple):
    """A value in a candidate: bytes start:stop of its text, type and canonical form."""

    start: int
    stop: int
    type: str
    value: str


Rule = Callable[[Candidate], Iterator[Value]]

BLANK = rb"(?: |\xc2\xa0|\xe2\x80\xaf)"
"""A blank within a number: plain, no-break or narrow no-break."""
DASH = rb"(?:-|\xe2\x80[\x90-\x93])"
"""A hyphen or dash within a number."""
FREE, END = rb"(?<![0-9A-Za-z_])", rb"(?![0-9A-Za-z_])"
"""What a value may not touch."""
