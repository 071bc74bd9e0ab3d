"""The line rules of C4, which the presets `c4-paper` and `c4-code` share.

| | c4-paper | c4-code |
|---|---|---|
| a line is cut if | it has no terminal mark at its end, fewer than `min_line_words` words, "javascript" or a policy phrase | the same, or it ends with an ellipsis, or has a word longer than `max_word_length` |
| a document is dropped for "lorem ipsum", "{" or a listed word | if it occurs anywhere | if it occurs in a line that the rules up to there kept |
| citation marks `[1]`, `[edit]`, `[citation needed]` | removed everywhere | removed from each line before it is looked at |
"""  # noqa: E501

from __future__ import annotations

import functools
import hashlib
import re
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from corpusmill.transforms.arrow import nulls_of, set_column, string_array, string_buffers
from corpusmill.transforms.base import Filter, Stability, Verdict
from corpusmill.transforms.errors import DatasetError, RecipeError
from corpusmill.transforms.filters.phrases import compile_phrases, match_at
from corpusmill.transforms.filters.rules import Rules
from corpusmill.transforms.filters.statistics import (
    SCRIPTS_HELP,
    Scripts,
    count_sentences,
    count_words,
    ends_sentence,
    marks,
    word_tables,
)
from corpusmill.transforms.kernels.bits import find_byte
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.lists import read_list
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.unicode import strip

_LOREM, _SCRIPT = "lorem ipsum", "javascript"
_CITATIONS = b"[edit][citation needed]"


class C4Lines(Filter):
    """Fields and behaviour of both presets; `as_code` chooses."""

    stability: ClassVar[Stability] = "record"
    made_for: ClassVar[str] = "its rules keep only lines of prose that end in punctuation"
    as_code: ClassVar[bool]

    min_line_words: int = Field(5, ge=0, description="lines of fewer words are cut")
    min_sentences: int | None = Field(3, ge=0, description="documents with fewer sentences left are dropped")
    drop_lorem_ipsum: bool = Field(True, description='drop documents with "lorem ipsum"')
    drop_curly_bracket: bool = Field(True, description="drop documents with a curly bracket, as code has")
    policy_phrases: tuple[str, ...] = Field(
        ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies"),
        description="lines with one of these phrases are cut, whatever its case",
    )
    bad_words: str | None = Field(
        None,
        description="file with one word or phrase a line; documents with one of them are dropped, whatever its case",
    )
    scripts_without_spaces: Scripts = Field("adapt", description=SCRIPTS_HELP)

    def files(self) -> list[str]:
        """The list of bad words."""
        return [self.bad_words] if self.bad_words else []

    def fingerprint(self) -> str:
        """It changed, with `bad_words`, when they began to match within sentences of scripts without spaces."""
        step = super().fingerprint()
        if not self.bad_words or self.scripts_without_spaces == "as-is":
            return step
        return hashlib.sha256(f"{step} within sentences".encode()).hexdigest()[:32]

    @property
    def longest_word(self) -> int:
        """Characters of the longest word that a line may have; 0: any."""
        return 0

    def judge(self, batch: pa.RecordBatch, rng: Keyed) -> Verdict:
        """Scores: lorem_ipsum, curly_bracket, bad_words (0 or 1 each), sentences left, kept_lines (share of lines)."""
        flags, _, alone = word_tables(self.scripts_without_spaces)
        text = batch.column("text")
        offsets, data = string_buffers(text)
        n = len(batch)
        pairs, starts, phrases = compile_phrases((_LOREM, _SCRIPT, *self.policy_phrases))
        total = int(offsets[-1]) - int(offsets[0])
        out, ends = np.empty(max(total, 1), np.uint8), np.zeros(n + 1, np.int32)
        counts = np.zeros((n, 5), np.int64)
        _cut(
            offsets, data, flags, marks(), alone, pairs, starts, phrases, _citations(), self.as_code, self.min_line_words,
            self.longest_word, out, ends, counts,
        )  # fmt: skip
        cut = nulls_of(text, string_array(ends, out[: ends[-1]]))
        lorem, curly, sentences, lines, kept = counts.T
        bad = self._bad_words(cut if self.as_code else text)

        rules = Rules(n)
        if self.drop_lorem_ipsum:
            rules.broken("lorem_ipsum", lorem > 0, lorem)
        if self.drop_curly_bracket:
            rules.broken("curly_bracket", curly > 0, curly)
        if bad is not None:
            rules.broken("bad_words", bad > 0, bad)
            rules.scores["bad_words"] = bad
        rules.check("min_sentences", sentences, self.min_sentences)
        rules.scores |= {"lorem_ipsum": lorem, "curly_bracket": curly}
        rules.scores["kept_lines"] = np.divide(kept, lines, out=np.zeros(n), where=lines > 0)
        return rules.verdict(set_column(batch, "text", cut))

    def _bad_words(self, text: pa.Array) -> np.ndarray | None:
        if not self.bad_words:
            return None
        pattern = _bad_pattern(self.bad_words, self.scripts_without_spaces == "adapt")
        matches = pc.match_substring_regex(text, pattern, ignore_case=True)
        return matches.fill_null(False).to_numpy(zero_copy_only=False).astype(np.int64)


@functools.cache
def _bad_pattern(path: str, adapt: bool) -> str:
    try:
        words = read_list(path, "word")
    except DatasetError as error:
        raise RecipeError(f"bad_words: {error}") from error
    if not words:
        raise RecipeError(f"bad_words: {path} is empty. Put one word or phrase on each line, or leave the field out.")
    flags, _, alone = word_tables("adapt" if adapt else "as-is")
    # in a script without spaces other characters may touch a word, as in C4's own lists for Chinese, Japanese and Thai
    before, behind = r"(?:^|[^\pL\pN_])", r"(?:[^\pL\pN_]|$)"
    return "|".join(
        ("" if flags[ord(w[0])] & alone else before) + re.escape(w) + ("" if flags[ord(w[-1])] & alone else behind)
        for w in words
    )


@functools.cache
def _citations() -> np.ndarray:
    return np.frombuffer(_CITATIONS, np.uint8)


@njit(inline="always")
def _citation_end(data: Any, i: int, stop: int, words: Any) -> int:
    """Position behind the citation mark that begins at data[i] == '[', or -1."""
    k = i + 1
    while k < stop and 48 <= data[k] <= 57:
        k += 1
    if k < stop and data[k] == 93:
        return k + 1
    for a, b in ((0, 6), (6, 23)):
        if i + b - a <= stop:
            k = 0
            while k < b - a and data[i + k] == words[a + k]:
                k += 1
            if k == b - a:
                return i + k
    return -1


@njit(nogil=True, cache=True)
def _cut(
    offsets: Any, data: Any, flags: Any, mark: Any, alone: int, pairs: Any, starts: Any, phrases: Any, citations: Any,
    as_code: bool, min_words: int, longest: int, out: Any, ends: Any, counts: Any,
) -> None:  # fmt: skip
    """Write the rows without the cut lines to (ends, out), and to counts [n, 5] of each row: whether it has lorem ipsum,
    whether it has a curly bracket, sentences left, lines, lines left."""
    n_phrases = len(starts) - 1
    o = 0
    for row in range(len(offsets) - 1):
        i: Any = np.int64(offsets[row])
        stop: Any = np.int64(offsets[row + 1])
        begin = o
        lorem = curly = 0
        sentences = lines = kept = 0
        while i < stop:
            end = find_byte(data, i, stop, 10)
            a, b = strip(data, i, end, flags)
            i = end + 1
            if a >= b:
                continue
            lines += 1
            words = -1
            if longest and b - a > longest:
                words, _, _, widest = count_words(data, a, b, flags, 0)
                if widest > longest:
                    continue
            line = o + (1 if o > begin else 0)
            w = line
            k = a
            while k < b:
                c = data[k]
                if c == 91:
                    behind = _citation_end(data, k, b, citations)
                    if behind > 0:
                        k = behind
                        continue
                out[w] = c
                w += 1
                k += 1
            if not as_code:
                # the paper's page rules look at the whole page
                for k in range(line, w):
                    curly |= out[k] == 123
                line, w = strip(out, line, w, flags)
                shifted = o + (1 if o > begin else 0)
                if line > shifted:
                    for k in range(w - line):
                        out[shifted + k] = out[line + k]
                    w -= line - shifted
                    line = shifted
            if w == line:
                continue
            last = out[w - 1]
            ended = last == 46 or last == 63 or last == 33 or last == 34
            if not ended and alone and last >= 0x80:
                ended = ends_sentence(out, line, w, flags, mark)
            if as_code and ended and w - line >= 3 and last == 46 and out[w - 2] == 46 and out[w - 3] == 46:
                ended = False
            if ended:
                words, _, _, _ = count_words(out, line, w, flags, alone)
                ended = words >= min_words
            if as_code and not ended:
                continue
            matches = 0
            for k in range(line, w):
                p = match_at(out, k, w, pairs, starts, phrases, 0, n_phrases)
                if p >= 0:
                    matches |= 1 if p == 0 else 2 if p == 1 else 4
                if as_code and out[k] == 123:
                    matches |= 8
            # in the order of the code: lorem ipsum, javascript, bracket, policy
            lorem |= matches & 1
            if as_code and matches & 11 == 8:
                curly = 1
            if not ended or matches & 6:
                continue
            sentences += count_sentences(out, line, w, flags, mark)
            kept += 1
            if o > begin:
                out[o] = 10
            elif as_code:  # the joined text is stripped; a citation mark may have left a space in front
                a, w = strip(out, line, w, flags)
                for k in range(w - a):
                    out[line + k] = out[a + k]
                w -= a - line
            o = w
        ends[row + 1] = o
        counts[row, 0], counts[row, 1], counts[row, 2], counts[row, 3], counts[row, 4] = (
            lorem,
            curly,
            sentences,
            lines,
            kept,
        )
