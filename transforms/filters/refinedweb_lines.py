"""The line corrections of RefinedWeb."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from corpusmill.transforms.arrow import nulls_of, set_column, string_array, string_buffers
from corpusmill.transforms.base import Filter, Stability, Verdict
from corpusmill.transforms.filters.phrases import compile_phrases, lower_byte, match_at
from corpusmill.transforms.filters.rules import Rules, ratio
from corpusmill.transforms.filters.statistics import SCRIPTS_HELP, Scripts, count_words, word_tables
from corpusmill.transforms.kernels.bits import find_byte
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.unicode import ALPHA, PUNCT, SPACE, UPPER, WORD, decode, strip


class RefinedwebLines(Filter):
    """Cut navigation, counters and other remains of web pages line by line; drop documents that lose too much.

    Penedo et al. 2023, "The RefinedWeb dataset for Falcon LLM", section 3.2 and appendix G.2. A line is cut if

    - more than `max_upper_ratio` of its characters (white space apart) are upper-case letters,
    - it has digits and, punctuation apart, nothing else,
    - it is a counter: a number and one of `counters` ("3 likes"),
    - it is a single word;

    and a line of at most `short_line` words is edited: one of `start_phrases` at its beginning, of `end_phrases` at its
    end, or of `phrases` anywhere, is cut out, and the line with it if no letter or digit is left. If the words of all
    these lines are more than `max_flagged_words` of the document's, the document is dropped. Blank lines stay.

    The paper names one example of each list; the others are ours, and the rules need adaptation to other languages: set
    the lists. With `adapt`, characters of scripts without spaces count as half a word towards `short_line`, and a line of
    up to two of them is a single word.

    >>> lines = ["MENU", "3 likes"] + ["The quick brown fox jumps over the lazy dog and runs on and on."] * 5
    >>> batch = pa.record_batch({"id": ["a"], "text": ["\\n".join(lines)]})
    >>> RefinedwebLines()(batch).column("text")[0].as_py()[:19]
    'The quick brown fox'
    """

    name: ClassVar[str] = "refinedweb-lines"
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = "record"
    made_for: ClassVar[str] = "its rules are made for web pages"

    max_flagged_words: float | None = Field(
        0.05, ge=0, le=1, description="largest share of the document's words in lines that were cut or edited"
    )
    max_upper_ratio: float = Field(
        0.5, ge=0, le=1, description="lines with a larger share of upper-case letters are cut"
    )
    cut_numbers: bool = Field(True, description="cut lines of digits only")
    cut_single_words: bool = Field(True, description="cut lines of one word")
    short_line: int = Field(10, ge=0, description="most words of a line in which phrases are cut out")
    counters: tuple[str, ...] = Field(
        ("likes", "like", "shares", "share", "comments", "comment", "retweets", "reposts", "quotes", "bookmarks", "upvotes",
         "downvotes", "downloads", "views", "followers", "reactions", "replies", "赞", "評論", "评论", "いいね"),
        description="what counters count: a number and one of these is a line to cut",
    )  # fmt: skip
    start_phrases: tuple[str, ...] = Field(
        ("sign-in", "sign in", "log in", "login", "sign up", "skip to", "click here", "share this"),
        description="cut at the beginning of short lines",
    )
    end_phrases: tuple[str, ...] = Field(
        ("read more...", "read more…", "read more", "continue reading", "see more", "learn more", "show more"),
        description="cut at the end of short lines",
    )
    phrases: tuple[str, ...] = Field(
        ("items in cart", "item in cart", "add to cart", "all rights reserved"),
        description="cut anywhere in short lines",
    )
    scripts_without_spaces: Scripts = Field("adapt", description=SCRIPTS_HELP)

    def judge(self, batch: pa.RecordBatch, rng: Keyed) -> Verdict:
        """Scores: flagged_words, the share of words in lines that were cut or edited."""
        flags, _, alone = word_tables(self.scripts_without_spaces)
        offsets, data = string_buffers(batch.column("text"))
        n = len(batch)
        lists = (self.counters, self.start_phrases, self.end_phrases, self.phrases)
        # the longest phrase first, so that "read more..." is cut whole
        ordered = [p for phrases in lists for p in sorted(phrases, key=lambda p: (-len(p), p))]
        bounds = np.cumsum([0] + [len(phrases) for phrases in lists])
        total = int(offsets[-1]) - int(offsets[0])
        out, ends = np.empty(max(total, 1), np.uint8), np.zeros(n + 1, np.int32)
        counts = np.zeros((n, 2), np.int64)
        _correct(
            offsets, data, flags, alone, *compile_phrases(ordered), bounds, self.max_upper_ratio, self.cut_numbers,
            self.cut_single_words, self.short_line, out, ends, counts,
        )  # fmt: skip
        rules = Rules(n)
        rules.check("max_flagged_words", ratio(counts[:, 0], counts[:, 1]), self.max_flagged_words)
        edited = np.flatnonzero(counts[:, 0] > 0)
        if not len(edited):
            return rules.verdict()
        text = nulls_of(batch.column("text"), string_array(ends, out[: ends[-1]]))
        return rules.verdict(set_column(batch, "text", text))


@njit(nogil=True, cache=True)
def _is_word_at(data: Any, i: int, stop: int, flags: Any) -> bool:
    if i >= stop:
        return False
    c, _ = decode(data, i, stop)
    return (flags[c] & WORD) != 0 and c < 0x2E80


@njit(nogil=True, cache=True)
def _is_counter(data: Any, a: int, b: int, flags: Any, pairs: Any, starts: Any, phrases: Any, end: int) -> bool:
    """A number with an optional k, m or b, one of the counters, and nothing but punctuation around them."""
    i = a
    while i < b:
        c, k = decode(data, i, b)
        if flags[c] & WORD:
            break
        i = k
    if i >= b or not 48 <= data[i] <= 57:
        return False
    while i < b and (48 <= data[i] <= 57 or data[i] == 44 or data[i] == 46):
        i += 1
    if i < b and lower_byte(data[i]) in (98, 107, 109) and not _is_word_at(data, i + 1, b, flags):
        i += 1
    while i < b:
        c, k = decode(data, i, b)
        if not flags[c] & SPACE:
            break
        i = k
    if i >= b:
        return False
    p = match_at(data, i, b, pairs, starts, phrases, 0, end)
    if p < 0:
        return False
    i += starts[p + 1] - starts[p]
    while i < b:
        c, i = decode(data, i, b)
        if flags[c] & WORD:
            return False
    return True


@njit(nogil=True, cache=True)
def _edit(
    data: Any, a: int, b: int, flags: Any, pairs: Any, starts: Any, phrases: Any, bounds: Any, out: Any, o: int
) -> int:
    """Write data[a:b] without the phrases to out[o:]: the end of what was written, which is o + b - a if none was found."""
    p = match_at(data, a, b, pairs, starts, phrases, bounds[1], bounds[2])
    if p >= 0:
        size = starts[p + 1] - starts[p]
        if not _is_word_at(data, a + size, b, flags):
            a += size
    for p in range(bounds[2], bounds[3]):
        size = starts[p + 1] - starts[p]
        if size and b - size >= a and match_at(data, b - size, b, pairs, starts, phrases, p, p + 1) >= 0:
            k = b - size - 1
            while k > a and (data[k] & 0xC0) == 0x80:
                k -= 1
            if b - size == a or not _is_word_at(data, k, b, flags):
                b -= size
                break
    i = a
    inside = False  # a word, into which no phrase may cut
    while i < b:
        if not inside:
            p = match_at(data, i, b, pairs, starts, phrases, bounds[3], bounds[4])
            if p >= 0:
                size = starts[p + 1] - starts[p]
                if not _is_word_at(data, i + size, b, flags):
                    i += size
                    continue
        _, k = decode(data, i, b)
        inside = _is_word_at(data, i, b, flags)
        while i < k:
            out[o] = data[i]
            o += 1
            i += 1
    return o


@njit(nogil=True, cache=True)
def _correct(
    offsets: Any, data: Any, flags: Any, alone: int, pairs: Any, starts: Any, phrases: Any, bounds: Any, max_upper: float,
    numbers: bool, singles: bool, short: int, out: Any, ends: Any, counts: Any,
) -> None:  # fmt: skip
    """The corrected rows into (ends, out), and (words of flagged lines, words) of each row into counts [n, 2]."""
    o = 0
    for row in range(len(offsets) - 1):
        i: Any = np.int64(offsets[row])
        stop: Any = np.int64(offsets[row + 1])
        flagged = total = 0
        while i < stop:
            start = i
            end = find_byte(data, i, stop, 10)
            i = min(end + 1, stop)
            a, b = strip(data, start, end, flags)
            cut = False
            if a < b:
                words, single, _, _ = count_words(data, a, b, flags, alone)
                total += words
                upper = digits = others = 0
                visible = 0
                k = a
                while k < b:
                    c, k = decode(data, k, b)
                    f = flags[c]
                    visible += (f & SPACE) == 0
                    upper += (f & UPPER) != 0 and (f & ALPHA) != 0
                    digits += 48 <= c <= 57
                    others += not 48 <= c <= 57 and f & (SPACE | PUNCT) == 0
                cut = upper > max_upper * visible
                cut |= numbers and digits > 0 and others == 0
                if not cut and singles:
                    cut = words == 1 or (single == words and words <= 2)
                small = 2 * words - single <= 2 * short
                if not cut and small:
                    cut = _is_counter(data, a, b, flags, pairs, starts, phrases, bounds[1])
                if not cut and small:
                    behind = _edit(data, a, b, flags, pairs, starts, phrases, bounds, out, o)
                    if behind < o + b - a:
                        flagged += words
                        x, y = strip(out, o, behind, flags)
                        some = False
                        k = x
                        while k < y:
                            c, k = decode(out, k, y)
                            some |= (flags[c] & WORD) != 0
                        if some:
                            for k in range(y - x):
                                out[o + k] = out[x + k]
                            o += y - x
                            if end < stop:
                                out[o] = 10
                                o += 1
                        continue
                if cut:
                    flagged += words
                    continue
            for k in range(start, i):
                out[o + k - start] = data[k]
            o += i - start
        ends[row + 1] = o
        counts[row, 0], counts[row, 1] = flagged, total
