"""Search for many phrases at once, without case, over UTF-8 bytes: a table of first byte pairs, then comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from corpusmill.transforms.kernels.njit import njit

Phrases = tuple[np.ndarray, np.ndarray, np.ndarray]


def compile_phrases(phrases: Sequence[str]) -> Phrases:
    """(pairs bool [65536], offsets int64 [k+1], bytes uint8) of phrases in lower case, for `match_at`.

    ASCII letters match without case; letters beyond ASCII must be given as they occur.
    """
    pairs = np.zeros(65536, np.bool_)
    encoded = [p.encode().lower() for p in phrases]  # bytes.lower knows ASCII only
    for phrase in filter(None, encoded):
        for first in {phrase[:1], phrase[:1].upper()}:
            seconds = {phrase[1:2], phrase[1:2].upper()} if len(phrase) > 1 else {bytes([b]) for b in range(256)}
            for second in seconds:
                pairs[first[0] << 8 | second[0]] = True
    offsets = np.cumsum([0] + [len(p) for p in encoded])
    return pairs, offsets.astype(np.int64), np.frombuffer(b"".join(encoded) + b"\0", np.uint8).copy()


@njit(inline="always")
def lower_byte(b: Any) -> Any:
    """The lower case of an ASCII letter; other bytes as they are."""
    return b + np.uint8(32) if np.uint8(65) <= b <= np.uint8(90) else b


@njit(nogil=True, cache=True)
def match_at(data: Any, i: int, stop: int, pairs: Any, starts: Any, phrases: Any, begin: int, end: int) -> int:
    """Number of the first of the phrases begin..end-1 that stands at data[i:stop], or -1."""
    second = data[i + 1] if i + 1 < stop else np.uint8(0)
    if not pairs[(np.int64(data[i]) << 8) | np.int64(second)]:
        return -1
    for p in range(begin, end):
        a, b = starts[p], starts[p + 1]
        if a == b or i + b - a > stop:
            continue
        k = 0
        while k < b - a and lower_byte(data[i + k]) == phrases[a + k]:
            k += 1
        if k == b - a:
            return p
    return -1
