"""The quality rules of FineWeb."""

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
    count_words,
    ends_sentence,
    first_with,
    is_letter,
    marks,
    table_mask,
    word_tables,
)
from corpusmill.transforms.hashing import U, murmur128
from corpusmill.transforms.kernels.bits import find_byte
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.unicode import skip_blank_lines, strip

LINES, ENDED, SHORT, CHARS, DUPLICATE, BREAKS, WORDS, SINGLE = range(8)


class Fineweb(Filter):
    """Drop lists, menus and boilerplate by the shape of their lines.

    Penedo et al. 2024, "The FineWeb datasets: decanting the web for the finest text data at scale", section 3.5, with the
    thresholds of the code that built the data set (datatrove's FineWebQualityFilter). They differ from the paper in one
    place: there `max_dup_line_chars` is 0.1. Lines are stripped and blank ones left out.

    - `punctuated_lines`: share of lines that end with a terminal mark, in any script, or a quote;
    - `short_lines`: share of lines of at most `short_line` characters;
    - `dup_line_chars`: characters in lines that occurred before, of all characters but line feeds;
    - `breaks`: line feeds a word.

    A document without any word is dropped by `empty`. With `adapt`, a character of a script without spaces counts twice
    towards `short_line`, and Thai and Lao, which have no terminal marks, end any line.

    >>> batch = pa.record_batch({"id": ["a", "b"], "text": ["It was a long and quiet morning by the sea.", "a\\nb\\nc"]})
    >>> Fineweb()(batch).column("id").to_pylist()
    ['a']
    """

    name: ClassVar[str] = "fineweb"
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = "record"
    made_for: ClassVar[str] = "its thresholds are made for web pages"

    min_punctuated_lines: float | None = Field(
        0.12, ge=0, le=1, description="smallest share of lines that end with a terminal mark"
    )
    max_short_lines: float | None = Field(0.67, ge=0, le=1, description="largest share of short lines")
    short_line: int = Field(30, ge=0, description="most characters of a short line")
    max_dup_line_chars: float | None = Field(
        0.01, ge=0, le=1, description="largest share of characters in repeated lines (the paper prints 0.1)"
    )
    max_breaks: float | None = Field(0.3, ge=0, description="most line feeds a word")
    scripts_without_spaces: Scripts = Field("adapt", description=SCRIPTS_HELP)

    def judge(self, batch: pa.RecordBatch, rng: Keyed) -> Verdict:
        """Scores: punctuated_lines, short_lines, dup_line_chars, breaks."""
        flags, _, alone = word_tables(self.scripts_without_spaces)
        offsets, data = string_buffers(batch.column("text"))
        counts = np.zeros((len(batch), 8), np.int64)
        _count(offsets, data, flags, marks(), alone, self.short_line, counts)
        column = counts.T
        lines, words = column[LINES], column[WORDS]

        rules = Rules(len(batch))
        rules.broken("empty", words == 0, words)
        rules.check("min_punctuated_lines", ratio(column[ENDED], lines), self.min_punctuated_lines)
        rules.check("max_short_lines", ratio(column[SHORT], lines), self.max_short_lines)
        rules.check("max_dup_line_chars", ratio(column[DUPLICATE], column[CHARS]), self.max_dup_line_chars)
        rules.check("max_breaks", ratio(column[BREAKS], words), self.max_breaks)
        return rules.verdict()


@njit(nogil=True, cache=True)
def _count(offsets: Any, data: Any, flags: Any, mark: Any, alone: int, short: int, out: Any) -> None:
    """Counts of each row into out [n, 8], in the order of the constants above."""
    room = 0
    for row in range(len(offsets) - 1):
        n = 1
        for k in range(offsets[row], offsets[row + 1]):
            n += data[k] == 10
        room = max(room, n)
    hashes = np.empty(room, np.uint64)
    table = np.empty(table_mask(room) + 1, np.int32)
    for row in range(len(offsets) - 1):
        i: Any = np.int64(offsets[row])
        stop: Any = np.int64(offsets[row + 1])
        breaks = 0
        chars = 0
        for k in range(i, stop):
            breaks += data[k] == 10
            chars += (data[k] & 0xC0) != 0x80
        mask = table_mask(breaks + 1)
        table[: mask + 1] = -1
        lines = words = single = ended = shorts = duplicate = 0
        while i < stop:
            i = skip_blank_lines(data, i, stop)
            end = find_byte(data, i, stop, 10)
            a, b = strip(data, i, end, flags)
            if a < b:
                n, s, size, _ = count_words(data, a, b, flags, alone)
                words += n
                single += s
                last = data[b - 1]
                if last == 46 or last == 34 or last == 39:
                    ended += 1
                elif not is_letter(last):
                    ended += ends_sentence(data, a, b, flags, mark)
                shorts += size + s <= short
                h, _ = murmur128(data, a, b, U(0))
                hashes[lines] = h
                if first_with(hashes, lines, table, mask) != lines:
                    duplicate += size
                lines += 1
            i = end + 1
        out[row, 0], out[row, 1], out[row, 2], out[row, 3] = lines, ended, shorts, chars - breaks
        out[row, 4], out[row, 5], out[row, 6], out[row, 7] = duplicate, breaks, words, single
