"""A filter on words that a list names as toxic."""

from __future__ import annotations

import functools
from typing import ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from corpusmill.transforms.arrow import set_column
from corpusmill.transforms.base import Filter, Stability, Verdict
from corpusmill.transforms.columns import labels
from corpusmill.transforms.document import CORE, LINEAGE
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.filters.rules import Rules, ratio
from corpusmill.transforms.hashing import GOLDEN, U, mix64_array
from corpusmill.transforms.lists import read_list
from corpusmill.transforms.ngrams._symbols import text_symbols
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.versions import file_digest

LONGEST = 8
"""Words of an entry; in Chinese, Japanese and Thai a character is a word."""


class Toxicity(Filter):
    """Writes the share of a document's words that begin an entry of a word list, and drops documents with more than `max_share`.

    Word lists are yours to name: no list ships with corpusmill. Lists with permissive licences are in packages such as
    `better-profanity` (PyPI, MIT, English) and `naughty-words` (npm, CC BY 4.0, 28 languages). An entry is a word or a phrase of up
    to 8 words, in any case; a character of Chinese, Japanese or Thai is a word. Entries match whole words, as they are written:
    inflected forms are entries of their own. Lists know no context: they drop text about medicine, law and minorities more
    often than other text, so look at `corpusmill bias DIR` behind a run. Where you have labelled text, train a classifier
    instead: `corpusmill scorer train --labels`, and `quality` with `label`.

    Documents of a language without a list, and documents without words, have the score 0.

    Raises:
        RecipeError: a list cannot be read, is empty, or has an entry without words or of more than 8.

    >>> Toxicity(words={"en": "en.txt"}, by="lang").max_share is None
    True
    """

    name: ClassVar[str] = "toxicity"
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = "record"
    example: ClassVar[str] = "{words: {en: lists/en.txt, de: lists/de.txt}, by: lang, max_share: 0.01}"

    words: str | dict[str, str] = Field(
        description="list of words and phrases, one a line (or JSON); or one for each value of `by`"
    )
    by: str | None = Field(None, min_length=1, description="column, as lang, that chooses among lists")
    max_share: float | None = Field(None, ge=0, le=1, description="documents with a larger share are dropped")
    column: str = Field("toxicity", min_length=1, description="the column that the share is written to")

    @field_validator("column")
    @classmethod
    def _no_role(cls, column: str) -> str:
        if column in (*CORE, *LINEAGE):
            raise ValueError(f"`{column}` is what documents are known by, and would be lost; name another column")
        return column

    @model_validator(mode="after")
    def _fits(self) -> Toxicity:
        if isinstance(self.words, dict) != (self.by is not None):
            raise ValueError("several lists and `by` go together: `words: {en: en.txt}, by: lang`")
        if not self.words:
            raise ValueError("`words` names no list")
        return self

    def files(self) -> list[str]:
        """The lists: their content is part of the fingerprint."""
        return [self.words] if isinstance(self.words, str) else list(self.words.values())

    def judge(self, batch: pa.RecordBatch, rng: Keyed) -> Verdict:
        """Score: share, of the words that begin an entry."""
        offsets, symbols = text_symbols(batch.column("text"), "words")
        counts = np.diff(offsets)
        share = np.zeros(batch.num_rows)
        if isinstance(self.words, str):
            share = ratio(_hits(offsets, symbols, self.words), counts)
        else:
            languages = (
                labels(batch, str(self.by), "toxicity.by").fill_null("")
                if batch.num_rows
                else pa.array([], pa.string())
            )
            for language, path in self.words.items():
                mine = pa.compute.equal(languages, language).to_numpy(zero_copy_only=False).astype(np.bool_)
                share[mine] = ratio(_hits(offsets, symbols, path), counts)[mine] if mine.any() else 0.0
        rules = Rules(batch.num_rows)
        rules.check("max_share", share, self.max_share)
        return rules.verdict(set_column(batch, self.column, pa.array(share)))


def _hits(offsets: np.ndarray, symbols: np.ndarray, path: str) -> np.ndarray:
    """How many words of each document begin an entry: int64 [n]."""
    entries = _entries(path, file_digest(path))
    found = np.zeros(len(symbols), np.bool_)
    ends = np.repeat(offsets[1:], np.diff(offsets))
    keys = np.zeros(len(symbols), np.uint64)
    for length, wanted in enumerate(entries, 1):
        keys = _longer(keys[: max(len(symbols) - length + 1, 0)], symbols[length - 1 :])
        if len(wanted) and len(keys):
            at = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
            inside = np.arange(len(keys)) + length <= ends[: len(keys)]
            found[: len(keys)] |= (wanted[at] == keys) & inside
    sums = np.append(0, np.cumsum(found))
    return np.asarray(sums[offsets[1:]] - sums[offsets[:-1]])


def _longer(keys: np.ndarray, symbols: np.ndarray) -> np.ndarray:
    """Hashes of phrases that are one word longer."""
    with np.errstate(over="ignore"):
        return mix64_array((keys + GOLDEN) ^ symbols.astype(U))


@functools.lru_cache(256)
def _entries(path: str, digest: str) -> tuple[np.ndarray, ...]:
    """Sorted hashes of the entries of 1, 2, ... words; `digest` keeps a changed file from being taken for an earlier one."""
    listed = read_list(path, "word")
    offsets, symbols = text_symbols(pa.array(listed, pa.string()), "words")
    counts = np.diff(offsets)
    if not listed:
        raise RecipeError(f"{path}: the list is empty; write one word or phrase a line")
    odd = np.flatnonzero((counts == 0) | (counts > LONGEST))
    if len(odd):
        entry = listed[int(odd[0])]
        raise RecipeError(f"{path}: the entry {entry!r} has {counts[odd[0]]} words; entries have 1 to {LONGEST}")
    found = []
    for length in range(1, int(counts.max()) + 1):
        begins = offsets[:-1][counts == length]
        keys = np.zeros(len(begins), np.uint64)
        for k in range(length):
            keys = _longer(keys, symbols[begins + k])
        found.append(np.unique(keys))
    return tuple(found)
