"""The quality rules of Gopher."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.base import Filter, Stability, Verdict
from corpusmill.transforms.filters.rules import Rules, ratio
from corpusmill.transforms.filters.statistics import (
    SCRIPTS_HELP,
    Scripts,
    breaks_word,
    is_letter,
    table_mask,
    word_tables,
)
from corpusmill.transforms.hashing import U, mix64
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.unicode import ALONE, ALPHA, MARK, SPACE, WORD, decode, next_word

WORDS, SINGLE, CHARS, ALPHABETIC, HASHES, ELLIPSES, LINES, BULLETS, TRAILING, STOPS = range(10)


class GopherQuality(Filter):
    """Drop documents that do not look like running text.

    Rae et al. 2021, "Scaling language models: methods, analysis & insights from training Gopher", appendix A.1.1: 50 to
    100,000 words; mean word length of 3 to 10 characters; at most 0.1 hash signs, and at most 0.1 ellipses, a word; at
    most 90 % of the lines begin with a bullet point and 30 % end with an ellipsis; at least 80 % of the words have a letter;
    at least two different ones of eight English words occur. Words are what white space separates
    (`corpusmill.transforms.filters.statistics`); stop words are compared without the punctuation around them and without case.

    For documents in a script without spaces, `adapt` skips the rules on mean word length and stop words.

    >>> batch = pa.record_batch({"id": ["a"], "text": ["of the few and the many"]})
    >>> GopherQuality().judge(batch, Keyed()).reasons[0], len(GopherQuality()(batch)), len(GopherQuality(min_words=5)(batch))
    ('min_words', 0, 1)
    """

    name: ClassVar[str] = "gopher-quality"
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = "record"
    made_for: ClassVar[str] = "its thresholds are made for web pages of prose"

    min_words: int | None = Field(50, ge=0, description="fewest words of a document")
    max_words: int | None = Field(100_000, ge=0, description="most words of a document")
    min_word_length: float | None = Field(3, ge=0, description="least mean length of a word, in characters")
    max_word_length: float | None = Field(10, ge=0, description="greatest mean length of a word, in characters")
    max_hash_ratio: float | None = Field(0.1, ge=0, description="most hash signs a word")
    max_ellipsis_ratio: float | None = Field(0.1, ge=0, description="most ellipses a word")
    max_bullet_lines: float | None = Field(
        0.9, ge=0, le=1, description="largest share of lines that begin with a bullet"
    )
    max_ellipsis_lines: float | None = Field(
        0.3, ge=0, le=1, description="largest share of lines that end with an ellipsis"
    )
    min_alpha_words: float | None = Field(0.8, ge=0, le=1, description="smallest share of words with a letter")
    min_stop_words: int | None = Field(2, ge=0, description="fewest different stop words of a document")
    stop_words: tuple[str, ...] = Field(
        ("the", "be", "to", "of", "and", "that", "have", "with"), description="the words that running text has"
    )
    bullets: str = Field("•‣⁃◦●○▪▫■□▶*-", description="characters that count as a bullet at the start of a line")
    scripts_without_spaces: Scripts = Field("adapt", description=SCRIPTS_HELP)

    def judge(self, batch: pa.RecordBatch, rng: Keyed) -> Verdict:
        """Scores: words, word_length, hash_ratio, ellipsis_ratio, bullet_lines, ellipsis_lines, alpha_words, stop_words."""
        flags, lower, alone = word_tables(self.scripts_without_spaces)
        offsets, data = string_buffers(batch.column("text"))
        counts = np.zeros((len(batch), 10), np.int64)
        keys, ids, longest, likely = _stop_table(self.stop_words, flags, lower)
        bullets = np.array([ord(c) for c in self.bullets], np.int32)
        _count(offsets, data, flags, lower, alone, keys, ids, longest, likely, bullets, counts)
        column = counts.T
        words, lines = column[WORDS], column[LINES]
        spaced = 2 * column[SINGLE] <= words if alone else None
        length = ratio(column[CHARS], words)

        rules = Rules(len(batch))
        rules.check("min_words", words, self.min_words)
        rules.check("max_words", words, self.max_words)
        rules.check("min_word_length", length, self.min_word_length, spaced)
        rules.check("max_word_length", length, self.max_word_length, spaced)
        rules.check("max_hash_ratio", ratio(column[HASHES], words), self.max_hash_ratio)
        rules.check("max_ellipsis_ratio", ratio(column[ELLIPSES], words), self.max_ellipsis_ratio)
        rules.check("max_bullet_lines", ratio(column[BULLETS], lines), self.max_bullet_lines)
        rules.check("max_ellipsis_lines", ratio(column[TRAILING], lines), self.max_ellipsis_lines)
        rules.check("min_alpha_words", ratio(column[ALPHABETIC], words), self.min_alpha_words)
        rules.check("min_stop_words", column[STOPS], self.min_stop_words, spaced)
        return rules.verdict()


def _stop_table(
    words: tuple[str, ...], flags: np.ndarray, lower: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int, np.ndarray]:
    """(hashes, word numbers, longest, likely) of an open-addressing table of stop words; number -1 is a free slot.

    likely: uint64 [256], of each first byte the lengths that stop words of ASCII have, as bits: most words of a text need no hash.
    """
    distinct = sorted({w.lower() for w in words})
    keys = np.zeros(table_mask(len(distinct)) + 1, np.uint64)
    ids = np.full(len(keys), -1, np.int32)
    longest = 0
    likely = np.zeros(256, np.uint64)
    for number, word in enumerate(distinct):
        data = np.frombuffer(word.encode() + b"\0" * 8, np.uint8)
        length = _enter(data, len(word.encode()), flags, lower, keys, ids, number)
        longest = max(longest, len(word.encode()) + 2 * len(word))  # other cases may take more bytes
        if word.isascii():
            for first in {word[:1], word[:1].upper()}:
                likely[ord(first)] |= U(1 << min(length, 63))
    return keys, ids, longest, likely


@njit(nogil=True, cache=True)
def _enter(data: Any, n: int, flags: Any, lower: Any, keys: Any, ids: Any, number: int) -> int:
    start, end, h = next_word(data, 0, n, flags, lower)
    slot = np.int64(mix64(h) & U(len(keys) - 1))
    while ids[slot] >= 0:
        slot = (slot + 1) & (len(keys) - 1)
    keys[slot], ids[slot] = h, number
    return end - start


@njit(nogil=True, cache=True)
def _find(data: Any, start: int, stop: int, flags: Any, lower: Any, keys: Any, ids: Any) -> int:
    _, _, h = next_word(data, start, stop, flags, lower)
    slot = np.int64(mix64(h) & U(len(keys) - 1))
    while ids[slot] >= 0:
        if keys[slot] == h:
            return ids[slot]
        slot = (slot + 1) & (len(keys) - 1)
    return -1


@njit(nogil=True, cache=True)
def _count(
    offsets: Any,
    data: Any,
    flags: Any,
    lower: Any,
    alone: int,
    keys: Any,
    ids: Any,
    longest: int,
    likely: Any,
    bullets: Any,
    out: Any,
) -> None:
    """Counts of each row into out [n, 10], in the order of the constants above."""
    seen = np.full(len(ids), -1, np.int64)  # the last row in which stop word number k was seen
    for row in range(len(offsets) - 1):
        i: Any = np.int64(offsets[row])
        stop: Any = np.int64(offsets[row + 1])
        words = single = chars = alphabetic = hashes = ellipses = lines = bulleted = trailing = stops = 0
        in_word = has_alpha = on_line = trails = False
        last = 0  # flags of the word's last letter
        dots = 0
        begin = -1  # of the run of letters, as `next_word` cuts them
        begin_flags = 0
        wide = False  # whether the run has a character beyond ASCII
        while i < stop:
            here = i
            c, i = decode(data, i, stop)
            f: Any = np.int64(flags[c])
            if begin >= 0 and not f & MARK and (not f & WORD or (f | begin_flags) & ALONE):
                if here - begin <= longest and (wide or likely[data[begin]] >> U(min(here - begin, 63)) & U(1)):
                    k = _find(data, begin, here, flags, lower, keys, ids)
                    if k >= 0 and seen[k] != row:
                        seen[k] = row
                        stops += 1
                begin = -1
                wide = False
            wide |= c >= 0x80
            if f & SPACE:
                if in_word:
                    in_word = False
                    alphabetic += has_alpha
                dots = 0
                if c == 10:
                    trailing += trails
                    on_line = trails = False
                continue
            if not in_word or breaks_word(f, alone, last):
                if in_word:
                    alphabetic += has_alpha
                words += 1
                in_word, has_alpha, last = True, False, 0
            if not on_line:
                on_line = True
                lines += 1
                for b in bullets:
                    if b == c:
                        bulleted += 1
                        break
            chars += 1
            trails = False
            if f & WORD:
                if begin < 0:
                    begin, begin_flags = here, f
                if f & ALPHA:
                    has_alpha = True
                if f & alone:
                    single += 1
                last = f
                dots = 0
                if c < 0x80:  # most characters by far: letters a to z behind another letter only add to the length
                    here = i
                    while i < stop and is_letter(data[i]):
                        i += 1
                    chars += i - here
                    has_alpha |= i > here
            elif c == 46:
                dots += 1
                trails = dots >= 3
                ellipses += dots % 3 == 0
            else:
                dots = 0
                if c == 35:
                    hashes += 1
                elif c == 0x2026:
                    ellipses += 1
                    trails = True
        if begin >= 0 and stop - begin <= longest and (wide or likely[data[begin]] >> U(min(stop - begin, 63)) & U(1)):
            k = _find(data, begin, stop, flags, lower, keys, ids)
            if k >= 0 and seen[k] != row:
                stops += 1
        out[row, 0], out[row, 1], out[row, 2] = words, single, chars
        out[row, 3] = alphabetic + (in_word and has_alpha)
        out[row, 4], out[row, 5], out[row, 6], out[row, 7] = hashes, ellipses, lines, bulleted
        out[row, 8], out[row, 9] = trailing + trails, stops
