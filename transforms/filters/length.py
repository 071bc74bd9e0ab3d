"""Bounds on the length of a document."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.base import Filter, Stability, Verdict
from corpusmill.transforms.filters.rules import Rules
from corpusmill.transforms.filters.statistics import SCRIPTS_HELP, Scripts, count_words, word_tables
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.unicode import SPACE, decode


def _bound(what: str) -> Any:
    return Field(None, ge=0, description=f"{what} of a document; empty: no bound")


class Length(Filter):
    """Drop documents that are too short or too long, in characters, words, lines or bytes of UTF-8.

    Characters are code points, white space included; words are what white space separates, and with `adapt` each character
    of a script without spaces; lines are those that are not blank.

    >>> batch = pa.record_batch({"id": ["a", "b", "c"], "text": ["", "one two", "你好世界"]})
    >>> Length(min_words=3)(batch).column("id").to_pylist()
    ['c']
    """

    name: ClassVar[str] = "length"
    version: ClassVar[int] = 2
    stability: ClassVar[Stability] = "record"
    example: ClassVar[str] = "{min_words: 20}"

    min_chars: int | None = Field(1, ge=0, description="fewest characters of a document")
    max_chars: int | None = _bound("most characters")
    min_words: int | None = _bound("fewest words")
    max_words: int | None = _bound("most words")
    min_lines: int | None = _bound("fewest lines")
    max_lines: int | None = _bound("most lines")
    min_bytes: int | None = _bound("fewest bytes")
    max_bytes: int | None = _bound("most bytes")
    scripts_without_spaces: Scripts = Field("adapt", description=SCRIPTS_HELP)

    @model_validator(mode="after")
    def _ordered(self) -> Length:
        for unit in ("chars", "words", "lines", "bytes"):
            least, most = getattr(self, f"min_{unit}"), getattr(self, f"max_{unit}")
            if least is not None and most is not None and least > most:
                raise ValueError(f"min_{unit} is {least} and max_{unit} is {most}: no document would be kept")
        return self

    def judge(self, batch: pa.RecordBatch, rng: Keyed) -> Verdict:
        """Scores: chars, words, lines, bytes."""
        flags, _, alone = word_tables(self.scripts_without_spaces)
        offsets, data = string_buffers(batch.column("text"))
        counts = np.zeros((len(batch), 3), np.int64)
        _count(offsets, data, flags, alone, counts)
        rules = Rules(len(batch))
        sizes = np.diff(offsets).astype(np.int64)
        for unit, score in (
            ("chars", counts[:, 0]),
            ("words", counts[:, 1]),
            ("lines", counts[:, 2]),
            ("bytes", sizes),
        ):
            for rule in (f"min_{unit}", f"max_{unit}"):
                rules.check(rule, score, getattr(self, rule))
        return rules.verdict()


@njit(nogil=True, cache=True)
def _count(offsets: Any, data: Any, flags: Any, alone: int, out: Any) -> None:
    """(characters, words, lines) of each row into out [n, 3]."""
    for row in range(len(offsets) - 1):
        start: Any = np.int64(offsets[row])
        stop: Any = np.int64(offsets[row + 1])
        words, _, chars, _ = count_words(data, start, stop, flags, alone)
        lines = 0
        blank: Any = True
        i = start
        while i < stop:
            if data[i] == 10:
                lines += not blank
                blank = True
                i += 1
            elif blank:
                c, i = decode(data, i, stop)
                blank = (flags[c] & SPACE) != 0
            else:
                i += 1
        out[row, 0], out[row, 1], out[row, 2] = chars, words, lines + (not blank)
