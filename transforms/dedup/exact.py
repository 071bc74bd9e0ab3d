"""Exact duplicates: documents with the same 128-bit hash of their normalised text."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.base import Applied, Decided, Group
from corpusmill.transforms.dedup._cut import drop
from corpusmill.transforms.dedup._grouping import column, repeated
from corpusmill.transforms.dedup._order import (
    KEEP_HELP,
    TRUST,
    WITHIN_UNITS,
    Keep,
    order_columns,
    order_fingerprint,
    order_ranks,
)
from corpusmill.transforms.hashing import U, hash128, murmur128
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.normal_forms import normalize
from corpusmill.transforms.unicode import SPACE, decode, tables
from corpusmill.transforms.words import hash_each

_DECISIONS = pa.schema(
    [("shard", pa.uint32()), ("row", pa.uint32()), ("survivor", pa.string()), ("same", pa.float64())]
)


@njit(nogil=True, cache=True)
def _hash_folded(offsets: Any, data: Any, flags: Any, lower: Any, kinds: Any, by_words: bool, out: Any) -> None:
    longest = 0
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    folded = np.empty(longest + 16, np.uint8)
    words = np.empty(longest + 1 if by_words else 1, np.uint64)
    for row in range(len(offsets) - 1):
        i, stop = offsets[row], offsets[row + 1]
        if by_words:
            count = hash_each(data, i, stop, flags, lower, words, 0)
            if count:
                out[row, 0], out[row, 1] = murmur128(words.view(np.uint8), 0, 8 * count, U(1))
                continue
        n = 0
        gap = True  # the character before was white space, or there is none
        while i < stop:
            b = data[i]
            kind = kinds[b]
            width = 1
            if kind == 2:
                c, end = decode(data, i, stop)
                kind = np.uint8((flags[c] & SPACE) != 0)
                if kind:
                    width = end - i
            space = kind == 1
            # written always and kept by moving on: no branch to mispredict at the end of each word
            folded[n] = 32 if space else b
            n += 1 - (space & gap)
            gap = space
            i += width
        if n > 0 and folded[n - 1] == 32:
            n -= 1
        out[row, 0], out[row, 1] = murmur128(folded, 0, n, U(0))


def _kinds() -> np.ndarray:
    """uint8 [256] of a byte: 1 ASCII white space, 2 may begin white space of more bytes, 0 neither."""
    kinds = np.zeros(256, np.uint8)
    kinds[:128] = (tables()[0][:128] & SPACE) != 0
    kinds[[0xC2, 0xE1, 0xE2, 0xE3]] = 2
    return kinds


class Exact(Group):
    """Drop exact duplicates: documents whose text is the same after normalisation.

    Source: as in CCNet (Wenzek et al. 2020, section 3.1) for whole documents, with a hash of 128 instead of 64 bits:
    MurmurHash3 x64 128, by which n different documents collide with probability n^2 / 2^129.
    Normalisation: `space` (default) is NFC, runs of white space as one space, none at the ends; `words` keeps only the
    lower-cased words, so that case and punctuation do not count either; `none` takes the bytes as they are.
    Each document sends 24 bytes and its id; the decision about a dropped document holds the survivor's id; its value is 1.
    Raises RecipeError if `keep` needs a column that is absent.

    >>> Exact(normalize="words").keep
    'first'
    """

    name: ClassVar[str] = "exact"
    advice: ClassVar[str | None] = TRUST
    refusal: ClassVar[tuple[str, str]] = ("one document decides whether other units' copies stay", WITHIN_UNITS)

    normalize: Literal["none", "space", "words"] = Field(
        default="space", description="What does not count: nothing; white space; all but lower-cased words."
    )
    keep: Keep = Field(default="first", description=KEEP_HELP)

    def fingerprint(self) -> str:
        return order_fingerprint(super().fingerprint(), self.keep)

    def hashes(self, texts: pa.Array) -> np.ndarray:
        """128-bit hash of each normalised text: uint64 [n, 2]."""
        if self.normalize == "none":
            return hash128(texts)
        offsets, data = string_buffers(normalize(texts, "NFC"))
        flags, lower = tables()
        out = np.empty((len(texts), 2), np.uint64)
        _hash_folded(offsets, data, flags, lower, _kinds(), self.normalize == "words", out)
        return out

    def keys(self, rnd: int, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        hashes = self.hashes(batch.column("text"))
        return pa.record_batch(
            {
                "key": np.ascontiguousarray(hashes[:, 0]),
                "row": rows.astype(np.uint32),
                "second": np.ascontiguousarray(hashes[:, 1]),
                **order_columns(batch, self.keep, self.name),
            }
        )

    def decide(self, rnd: int, keys: pa.Table) -> Decided:
        key, second = column(keys, "key"), column(keys, "second")
        picked, _ = repeated(key, second, second)
        chosen = keys.take(pa.array(picked)).combine_chunks()
        order = np.lexsort((order_ranks(chosen), second[picked], key[picked]))
        same = np.zeros(len(order), np.bool_)
        k, s = key[picked][order], second[picked][order]
        same[1:] = (k[1:] == k[:-1]) & (s[1:] == s[:-1])
        first = np.maximum.accumulate(np.where(same, 0, np.arange(len(order))))
        dropped = order[same]
        survivors = chosen.column("id").take(pa.array(order[first[same]]))
        places = [chosen.column("shard").take(pa.array(dropped)), chosen.column("row").take(pa.array(dropped))]
        return Decided(pa.table([*places, survivors, pa.array(np.ones(len(dropped)))], schema=_DECISIONS))

    def apply(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table) -> Applied:
        return drop(batch, rows, decisions, "exact-duplicate", "same")
