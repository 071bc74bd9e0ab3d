"""The repetition rules of Gopher."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.base import Filter, Stability, Verdict
from corpusmill.transforms.filters.rules import Rules, ratio
from corpusmill.transforms.filters.statistics import SCRIPTS_HELP, Scripts, first_with, table_mask, word_tables
from corpusmill.transforms.hashing import GOLDEN, U, mix64, murmur128
from corpusmill.transforms.kernels.bits import char_count, find_byte
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.unicode import ALONE, decode, strip
from corpusmill.transforms.words import hash_run, next_hashed, scratch, word_edges

TOP, DUPLICATE = (2, 3, 4), (5, 6, 7, 8, 9, 10)


def _share(default: float, what: str) -> Any:
    return Field(default, ge=0, le=1, description=f"largest share of {what}")


class GopherRepetition(Filter):
    """Drop documents that repeat themselves.

    Rae et al. 2021, "Scaling language models: methods, analysis & insights from training Gopher", appendix A.1.1 and
    table A1. All scores are shares in [0, 1]:

    - lines and paragraphs (stripped; blank ones left out; a blank line ends a paragraph) that occurred before in the
      document, of all of them, and of the characters of all of them;
    - `top_Ngram`, N of 2 to 4: characters inside the most frequent n-gram of words that occurs at least twice, of the
      characters of all words; among equally frequent ones, the one that covers most;
    - `dup_Ngram`, N of 5 to 10: characters inside any n-gram of words that occurs at least twice, its first occurrence
      included, none counted twice.

    Words are runs of letters and digits without case (`corpusmill.transforms.words`). In a document in a script without spaces,
    where a word is one character, `adapt` takes 2N characters for an n-gram: a written word of Chinese or Japanese has
    between one and two. Equality is that of 64-bit hashes.

    >>> batch = pa.record_batch({"id": ["a", "b"], "text": ["one two three four", "again and again and again"]})
    >>> GopherRepetition()(batch).column("id").to_pylist()
    ['a']
    """

    name: ClassVar[str] = "gopher-repetition"
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = "record"
    made_for: ClassVar[str] = "its thresholds are made for web pages of prose"

    max_dup_lines: float | None = _share(0.3, "lines that are repeated")
    max_dup_paragraphs: float | None = _share(0.3, "paragraphs that are repeated")
    max_dup_line_chars: float | None = _share(0.2, "characters in repeated lines")
    max_dup_paragraph_chars: float | None = _share(0.2, "characters in repeated paragraphs")
    max_top_2gram: float | None = _share(0.20, "characters in the most frequent 2-gram")
    max_top_3gram: float | None = _share(0.18, "characters in the most frequent 3-gram")
    max_top_4gram: float | None = _share(0.16, "characters in the most frequent 4-gram")
    max_dup_5gram: float | None = _share(0.15, "characters in repeated 5-grams")
    max_dup_6gram: float | None = _share(0.14, "characters in repeated 6-grams")
    max_dup_7gram: float | None = _share(0.13, "characters in repeated 7-grams")
    max_dup_8gram: float | None = _share(0.12, "characters in repeated 8-grams")
    max_dup_9gram: float | None = _share(0.11, "characters in repeated 9-grams")
    max_dup_10gram: float | None = _share(0.10, "characters in repeated 10-grams")
    scripts_without_spaces: Scripts = Field("adapt", description=SCRIPTS_HELP)

    def judge(self, batch: pa.RecordBatch, rng: Keyed) -> Verdict:
        """Scores: dup_lines, dup_paragraphs, dup_line_chars, dup_paragraph_chars, top_Ngram, dup_Ngram."""
        flags, lower, _ = word_tables("adapt")
        offsets, data = string_buffers(batch.column("text"))
        lines = np.zeros((len(batch), 7), np.int64)
        _lines(offsets, data, flags, lines)
        grams = np.zeros((len(batch), 10), np.int64)
        _grams(offsets, data, flags, lower, self.scripts_without_spaces == "adapt", grams)
        n, dup, p, dup_p, chars, dup_chars, dup_p_chars = lines.T

        rules = Rules(len(batch))
        rules.check("max_dup_lines", ratio(dup, n), self.max_dup_lines)
        rules.check("max_dup_paragraphs", ratio(dup_p, p), self.max_dup_paragraphs)
        rules.check("max_dup_line_chars", ratio(dup_chars, chars), self.max_dup_line_chars)
        rules.check("max_dup_paragraph_chars", ratio(dup_p_chars, chars), self.max_dup_paragraph_chars)
        for i, size in enumerate(TOP + DUPLICATE):
            rule = f"max_{'top' if size in TOP else 'dup'}_{size}gram"
            rules.check(rule, ratio(grams[:, i + 1], grams[:, 0]), getattr(self, rule))
        return rules.verdict()


@njit(nogil=True, cache=True)
def _lines(offsets: Any, data: Any, flags: Any, out: Any) -> None:
    """Of each row: lines, repeated ones, paragraphs, repeated ones, characters, those of repeated lines and paragraphs."""
    room = 0
    for row in range(len(offsets) - 1):
        n = 1
        for k in range(offsets[row], offsets[row + 1]):
            n += data[k] == 10
        room = max(room, n)
    line_hash = np.empty(room, np.uint64)
    hashes = np.empty(room, np.uint64)
    line_table = np.empty(table_mask(room) + 1, np.int32)
    table = np.empty(table_mask(room) + 1, np.int32)
    for row in range(len(offsets) - 1):
        i: Any = np.int64(offsets[row])
        stop: Any = np.int64(offsets[row + 1])
        n = 1
        for k in range(i, stop):
            n += data[k] == 10
        mask = table_mask(n)
        line_table[: mask + 1] = -1
        table[: mask + 1] = -1
        n = p = dup = dup_p = total = dup_chars = dup_p_chars = 0
        running = U(0)  # hash and characters of the paragraph so far
        size = 0
        while i <= stop:
            end = find_byte(data, i, stop, 10)
            a, b = strip(data, i, end, flags)
            if a < b:
                h, _ = murmur128(data, a, b, U(0))
                chars = char_count(data, a, b)
                line_hash[n] = h
                if first_with(line_hash, n, line_table, mask) != n:
                    dup += 1
                    dup_chars += chars
                n += 1
                total += chars
                running = mix64(running ^ h) + GOLDEN
                size += chars
            if size and (a >= b or end >= stop):
                hashes[p] = running
                if first_with(hashes, p, table, mask) != p:
                    dup_p += 1
                    dup_p_chars += size
                p += 1
                running = U(0)
                size = 0
            i = end + 1
        out[row, 0], out[row, 1], out[row, 2], out[row, 3] = n, dup, p, dup_p
        out[row, 4], out[row, 5], out[row, 6] = total, dup_chars, dup_p_chars


@njit(nogil=True, cache=True)
def _grams(offsets: Any, data: Any, flags: Any, lower: Any, adapt: bool, out: Any) -> None:
    """Of each row: characters of its words, then those in the most frequent n-gram (2 to 4) and in repeated ones (5 to 10).

    A repeated n-gram begins with a repeated (n-1)-gram, so that each round looks only at the positions that the round
    before found repeated. An n-gram that occurs twice needs no more rounds: its two places are compared word by word.
    """
    room = 1
    for row in range(len(offsets) - 1):
        room = max(room, offsets[row + 1] - offsets[row] + 1)
    folded, edges, word = scratch(offsets)
    before = np.empty(room + 1, np.int32)  # characters of the words in front of word i
    gram = np.empty(room, np.uint64)
    count = np.empty(room, np.int32)
    covered = np.empty(room, np.int32)
    reach = np.empty(room, np.int32)  # word behind the last occurrence
    first = np.empty(room, np.int32)
    live = np.empty(room, np.int32)
    extent = np.empty(room, np.int32)  # words of the longest repeated n-gram that begins here
    table = np.empty(table_mask(room) + 1, np.int32)
    best = np.zeros(5, np.int64)
    end = np.zeros(11, np.int64)
    for row in range(len(offsets) - 1):
        start: Any = np.int64(offsets[row])
        n = 0
        single = 0
        before[0] = 0
        for run in range(0, word_edges(data, start, offsets[row + 1], folded, edges), 2):
            begin, behind = int(edges[run]), int(edges[run + 1])
            h, plain = hash_run(folded, begin, behind)
            if plain:
                word[n] = h
                before[n + 1] = before[n] + (behind - begin)
                n += 1
                continue
            i = start + begin
            stop = start + behind
            while True:
                a, i, h = next_hashed(data, i, stop, flags, lower)
                if a == stop:
                    break
                word[n] = h
                before[n + 1] = before[n] + char_count(data, a, i)
                if data[a] >= 0xE0:
                    c, _ = decode(data, a, stop)
                    single += (flags[c] & ALONE) != 0
                n += 1
        out[row, 0] = before[n]
        step = 2 if adapt and 2 * single > n else 1
        alive = n
        for k in range(n):
            live[k] = k
            gram[k] = word[k]
            extent[k] = 0
        best[:] = 1
        size = 1
        for level in range(2, 11):
            goal = level * step
            while alive and live[alive - 1] + goal > n:
                alive -= 1
            if alive == 0:
                break
            mask = table_mask(alive)
            table[: mask + 1] = -1
            for x in range(alive):
                k = live[x]
                g = gram[k]
                for j in range(k + size, k + goal):
                    g = mix64(g ^ (word[j] + GOLDEN))
                gram[k] = g
                slot = np.int64(g & U(mask))
                f = table[slot]
                while f >= 0 and gram[f] != g:
                    slot = (slot + 1) & mask
                    f = table[slot]
                if f < 0:
                    table[slot] = k
                    first[k] = k
                    count[k] = 1
                    reach[k] = k + goal
                    covered[k] = before[k + goal] - before[k]
                    continue
                first[k] = f
                count[f] += 1
                covered[f] += before[k + goal] - before[max(k, reach[f])]
                reach[f] = k + goal
            size = goal
            keep = 0
            for x in range(alive):
                k = live[x]
                f = first[k]
                times = count[f]
                if times == 1:
                    continue
                extent[k] = goal
                if level < 5 and f == k and (times, covered[f]) > (best[level], out[row, level - 1]):
                    best[level], out[row, level - 1] = times, covered[f]
                if times > 2:
                    live[keep] = k
                    keep += 1
                elif f < k:
                    same = goal
                    while same < 10 * step and k + same < n and word[f + same] == word[k + same]:
                        same += 1
                    extent[f] = extent[k] = same
                    for higher in range(level + 1, 5):
                        width = higher * step
                        if width > same:
                            break
                        chars = before[f + width] - before[f] + before[k + width] - before[max(k, f + width)]
                        if (2, chars) > (best[higher], out[row, higher - 1]):
                            best[higher], out[row, higher - 1] = 2, chars
            alive = keep
        end[:] = 0
        for k in range(n):
            if extent[k] >= 5 * step:
                for level in range(5, extent[k] // step + 1):
                    behind = k + level * step
                    out[row, level - 1] += before[behind] - before[max(k, end[level])]
                    end[level] = behind
