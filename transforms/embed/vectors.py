"""Word vectors from the corpus itself, and vectors of texts.

    v(w) = r(w) + CONTEXT c(w),  c(w): the sum of weight(u) r(u) over the words u within `WINDOW` words of each w, less what
                                 chance would give (the share of w in all words times the sum over all), at the length of r(w)
    v(text) = int8 of  sum over distinct words of damped(count) weight(w) v(w)  +  the same over pairs of neighbours with r(pair)
    weight(w) = 8 log2((N + 1) / N_w) rounded, for the N_w of N sampled texts that hold w

Source: random indexing (Sahlgren 2005, "An introduction to random indexing"); r as in sparse random projections (Achlioptas 2003);
rare words weigh more, as in Arora et al. 2017 ("A simple but tough-to-beat baseline for sentence embeddings"). Words are those
of `corpusmill.transforms.unicode` in any language. Pairs make the order of words count: a text whose words are shuffled is
another text. Nothing is downloaded, and training takes seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.embed._kernels import (
    SCALE,
    fill_table,
    index_vectors,
    surroundings,
    text_sums,
    to_int8,
    word_lists,
)
from corpusmill.transforms.normal_forms import normalize
from corpusmill.transforms.unicode import tables

WINDOW = 5
LEAST = 3
"""Sampled texts that a word must occur in to have a trained vector."""
WORDS = 32_768
"""Words with a trained vector, the most frequent ones."""
CONTEXT = 0.5
"""Length of c(w) beside r(w): more finds more synonyms, and more that is merely about the same."""
LIMIT = 2_048
"""Words of a text that count; the rest of a longer text is not read."""
STRIPE = 1_024
"""Texts whose sums are held at once."""


@dataclass(frozen=True)
class WordVectors:
    """words: uint64 [V], hashes, rising; vectors: int8 [V, d]; weights: int64 [V]; unknown: weight of other words."""

    words: np.ndarray
    vectors: np.ndarray
    weights: np.ndarray
    unknown: int

    @property
    def dims(self) -> int:
        return int(self.vectors.shape[1])

    def embed(self, texts: pa.Array, pair_share: int = 0) -> np.ndarray:
        """int8 [n, d]; a text without words, or null, has zeros.

        pair_share: weight of a pair of neighbours, in 16ths of the mean weight of its words.
        """
        offsets, data = string_buffers(normalize(texts.fill_null(""), "NFC"))
        out = np.zeros((len(texts), self.dims), np.int8)
        keys, entries = self._table()
        for begin in range(0, len(texts), STRIPE):
            part = np.ascontiguousarray(offsets[begin : begin + STRIPE + 1])
            sums = np.zeros((len(part) - 1, self.dims), np.int64)
            text_sums(
                part, data, *tables(), LIMIT, keys, entries, self.vectors, self.weights, self.unknown, pair_share, sums
            )
            to_int8(sums, out[begin : begin + STRIPE])
        return out

    def _table(self) -> tuple[np.ndarray, np.ndarray]:
        known: tuple[np.ndarray, np.ndarray] | None = self.__dict__.get("_slots")
        if known is None:
            size = 1 << max(4, int(2 * len(self.words)).bit_length())
            known = np.zeros(size, np.uint64), np.zeros(size, np.int64)
            fill_table(self.words, *known)
            self.__dict__["_slots"] = known
        return known


def train(texts: pa.Array, dims: int) -> WordVectors:
    """Word vectors of `dims` dimensions from a sample of texts. The order of the texts makes no difference."""
    texts = normalize(texts.fill_null(""), "NFC")
    offsets, data = string_buffers(texts)
    begins = np.zeros(len(texts) + 1, np.int64)
    words = np.empty(int(offsets[-1] - offsets[0]) + 1, np.uint64)
    word_lists(offsets, data, *tables(), LIMIT, begins, words)
    words = words[: begins[-1]]
    known, numbers, counts = np.unique(words, return_inverse=True, return_counts=True)
    holders = _holders(begins, numbers, len(known))
    chosen = np.flatnonzero((holders >= LEAST) & (known != 0))
    chosen = np.sort(chosen[np.lexsort((known[chosen], -holders[chosen]))[:WORDS]])
    place = np.full(len(known), -1, np.int64)
    place[chosen] = np.arange(len(chosen))
    weights = np.rint(8 * np.log2((len(texts) + 1) / np.maximum(holders[chosen], 1))).astype(np.int64)
    unknown = int(np.rint(8 * np.log2(len(texts) + 1)))
    numbers = place[numbers]
    known, counts = known[chosen], counts[chosen]
    del words
    index = np.empty((len(known), dims), np.int32)
    for part in _stripes(len(known)):
        index[part] = _index(known[part], dims) * weights[part, None]
    sums = np.zeros((len(known), dims), np.int64)
    surroundings(begins, numbers, index, WINDOW, sums)
    del index
    vectors = _trained(known, counts, sums)
    return WordVectors(known, vectors, weights, unknown)


def _holders(begins: np.ndarray, numbers: np.ndarray, known: int) -> np.ndarray:
    """Texts that hold each word: int64 [known]."""
    row = np.repeat(np.arange(len(begins) - 1), np.diff(begins))
    pairs = np.unique(row * max(known, 1) + numbers)
    return np.bincount(pairs % max(known, 1), minlength=known)


def _stripes(n: int) -> list[slice]:
    return [slice(begin, begin + STRIPE) for begin in range(0, n, STRIPE)]


def _index(words: np.ndarray, dims: int) -> np.ndarray:
    """r(w) of each word: int64 [n, d]."""
    out = np.zeros((len(words), dims), np.int64)
    index_vectors(words, out)
    return out


def _trained(words: np.ndarray, counts: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """int8 [V, d]: the index vectors, and what stands around the words at CONTEXT times their length."""
    # in whole numbers, so that no rounding depends on the order of the words
    total, tokens = sums.sum(axis=0)[None, :] >> 16, max(1, int(counts.sum()) >> 16)
    out = np.empty(sums.shape, np.int8)
    for part in _stripes(len(words)):
        context = np.zeros(sums[part].shape, np.int8)
        to_int8(sums[part] - counts[part, None] * total // tokens, context)
        length = np.sqrt(np.maximum((context.astype(np.int64) ** 2).sum(axis=1), 1) / sums.shape[1])
        mixed = _index(words[part], sums.shape[1]) + CONTEXT * context / length[:, None]
        out[part] = np.clip(np.rint(SCALE * mixed), -127, 127)
    return out
