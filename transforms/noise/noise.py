"""Word-level noise: mask, delete, replace, insert, swap."""

from __future__ import annotations

import functools
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from corpusmill.transforms.hashing import U, mix64
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.noise.buffers import output_buffers, put, room
from corpusmill.transforms.noise.copies import Copies, Versions, as_texts, text_buffers
from corpusmill.transforms.noise.unigrams import Unigrams, read_unigrams, scripts
from corpusmill.transforms.noise.words import word_slots, word_spans
from corpusmill.transforms.random import draw
from corpusmill.transforms.unicode import ALONE, decode, tables

OPERATIONS = ("mask", "delete", "replace", "insert", "swap")
_OWN, _BY_SCRIPT, _ALL = 0, 1, 2


class Noise(Copies):
    """Masks, deletes, replaces, inserts and swaps words at one rate each; white space and punctuation stay.

    Source: Xie et al. 2017, "Data noising as smoothing in neural network language models", section 3.2 (blank and unigram
    noising); deletion, insertion and swap as in Wei and Zou 2019 (EDA), section 2.
    Word k of a document draws one of {mask, delete, replace, none}, and independently of that an insertion behind it and a
    swap with word k + 1, all from (seed, step, document id, epoch, copy, k). A character of a script without spaces is a
    word. New words come from the document's own unigram distribution, from the corpus' (a table, drawn by count within
    the script of the word at hand), or from a list. A document that would lose all its words keeps the last one.
    Raises RecipeError for rates that exceed 1 together, BadFileError for a bad table.

    >>> batch = pa.record_batch({"id": ["a"], "text": ["one two  three, four"], "source": ["s"]})
    >>> Noise(mask=1.0, keep_originals=False)(batch).column("text")[0].as_py()
    '_ _  _, _'
    """

    name: ClassVar[str] = "noise"
    version: ClassVar[int] = 1
    example: ClassVar[str] = "{delete: 0.05, swap: 0.03, copies: 1}"

    mask: float = Field(0.0, ge=0, le=1, description="Share of words replaced by `mask_with` (blank noising).")
    delete: float = Field(0.0, ge=0, le=1, description="Share of words left out.")
    replace: float = Field(0.0, ge=0, le=1, description="Share of words replaced by a drawn word (unigram noising).")
    insert: float = Field(0.0, ge=0, le=1, description="Share of words behind which a drawn word is inserted.")
    swap: float = Field(0.0, ge=0, le=1, description="Share of words exchanged with the word behind them.")
    mask_with: str = Field("_", min_length=1, description="What stands for a masked word.")
    words: Literal["document"] | str | tuple[str, ...] = Field(
        "document",
        description="Where new words are drawn from: `document` (its own words), the path of a table of words and counts "
        "(see corpusmill.transforms.noise.unigrams), or a list of words.",
    )

    @field_validator("words")
    @classmethod
    def _some_words(cls, words: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not words or (not isinstance(words, str) and not all(words)):
            raise ValueError("an empty list of words or an empty word: give words, a path, or `document`")
        return words

    @model_validator(mode="after")
    def _rates(self) -> Noise:
        if not any(getattr(self, name) for name in OPERATIONS):
            raise ValueError(f"no rate is set: give at least one of {', '.join(OPERATIONS)}")
        if self.mask + self.delete + self.replace > 1:
            raise ValueError(
                f"mask + delete + replace is {self.mask + self.delete + self.replace:g}, more than 1: one word takes one of them"
            )
        return self

    def files(self) -> list[str]:
        return [self.words] if isinstance(self.words, str) and self.words != "document" else []

    def parameters(self) -> dict[str, Any]:
        shown = super().parameters()
        if isinstance(self.words, tuple) and len(self.words) > 8:
            shown["words"] = f"{len(self.words)} words, {self.fingerprint()[:8]}"
        return shown

    def noisy(self, batch: pa.RecordBatch, versions: Versions) -> tuple[pa.Array, np.ndarray]:
        texts, counts = self.counted(batch, versions)
        return texts, counts.sum(axis=1)

    def counted(self, batch: pa.RecordBatch, versions: Versions) -> tuple[pa.Array, np.ndarray]:
        """(texts, edits int64 [m, 5] in the order of OPERATIONS)."""
        kind, table = _words(self.words)
        rates = np.array([self.mask, self.delete, self.replace, self.insert, self.swap], np.float64)
        blank = np.frombuffer(self.mask_with.encode(), np.uint8)
        offsets, data, counts = _noise(
            *text_buffers(batch), versions.rows, versions.copies, versions.keys, rates, blank, tables()[0], scripts(), kind,
            table.offsets, table.data, table.threshold, table.alias, table.first,
        )  # fmt: skip
        return as_texts(offsets, data), counts


@functools.lru_cache(maxsize=8)
def _given(words: tuple[str, ...]) -> Unigrams:
    return Unigrams.of(list(words), by_script=False)


def _words(words: str | tuple[str, ...]) -> tuple[int, Unigrams]:
    if isinstance(words, tuple):
        return _ALL, _given(words)
    return (_OWN, _given(())) if words == "document" else (_BY_SCRIPT, read_unigrams(words))


@njit(nogil=True, cache=True)
def _noise(
    offsets: Any, data: Any, rows: Any, copies: Any, keys: Any, rates: Any, blank: Any, flags: Any,
    script: Any, kind: int, t_offsets: Any, t_data: Any, threshold: Any, alias: Any, first: Any,
) -> tuple[Any, Any, Any]:  # fmt: skip
    m = len(rows)
    scale = 4294967296.0
    to_mask = U(rates[0] * scale)
    to_delete = U((rates[0] + rates[1]) * scale)
    to_replace = U((rates[0] + rates[1] + rates[2]) * scale)
    to_insert = U(rates[3] * scale)
    to_swap = U(rates[4] * scale)
    both = to_insert > U(0) or to_swap > U(0)
    starts, ends = word_slots(offsets, rows)
    out, bounds = output_buffers(offsets, rows)
    counts = np.zeros((m, 5), np.int64)
    o = 0
    for r in range(m):
        begin, stop = np.int64(offsets[rows[r]]), np.int64(offsets[rows[r] + 1])
        out = room(out, o, stop - begin)
        n = 0
        if copies[r] > 0:
            n = word_spans(data, begin, stop, flags, starts, ends)
        done = begin  # all before it is written
        hand = 0  # the word that has not found a place yet
        left = n  # words that the copy still has
        key = keys[r]
        for k in range(n):
            d = draw(key, k)
            op = d >> U(32)
            e = mix64(d ^ U(0xA5A5A5A5A5A5A5A5)) if both else U(0)
            inserts = (e & U(0xFFFFFFFF)) < to_insert
            swaps = (e >> U(32)) < to_swap and k + 1 < n
            word = k + 1 if swaps else hand
            if not swaps:
                hand = k + 1
            if op >= to_replace and word == k and not inserts:
                continue
            out = room(out, o, starts[k] - done + len(blank) + ends[word] - starts[word])
            o = put(out, o, data, done, starts[k])
            done = np.int64(ends[k])
            counts[r, 4] += swaps
            draws = 1 if inserts else 0
            if op < to_mask:
                o = put(out, o, blank, 0, len(blank))
                counts[r, 0] += 1
            elif op < to_delete and (left > 1 or inserts):
                counts[r, 1] += 1
                left -= 1
                # of the blanks around it one goes with the word
                blank_before = o == bounds[r] or out[o - 1] == 32 or out[o - 1] == 10
                if not inserts and blank_before and done < stop and data[done] == 32:
                    done += 1
            elif op >= to_delete and op < to_replace:
                draws += 1
                counts[r, 2] += 1
            else:
                o = put(out, o, data, starts[word], ends[word])
            if not draws:
                continue
            c, _ = decode(data, starts[word], stop)
            for j in range(draws):
                # the word drawn: x[a:b], of the same script if there is one
                s = mix64(d ^ (U(j + 1) * U(0xD6E8FEB86659FD93)))
                table = kind != 0
                a, b = 0, 0
                if table:
                    low, high = first[0], first[-1]
                    if kind == 1 and first[script[c]] < first[script[c] + 1]:
                        low, high = first[script[c]], first[script[c] + 1]
                    slot = low + np.int64(((s >> U(32)) * U(high - low)) >> U(32))
                    if (s & U(0xFFFFFFFF)) >= threshold[slot]:
                        slot = np.int64(alias[slot])
                    a, b = t_offsets[slot], t_offsets[slot + 1]
                else:
                    a, b = starts[word], ends[word]
                    for _ in range(32):
                        slot = np.int64(((s >> U(32)) * U(n)) >> U(32))
                        other, _ = decode(data, starts[slot], stop)
                        if script[other] == script[c]:
                            a, b = starts[slot], ends[slot]
                            break
                        s = mix64(s)
                out = room(out, o, b - a + 1)
                insertion = inserts and j == draws - 1
                if insertion:
                    counts[r, 3] += 1
                    left += 1
                    if o > bounds[r] and out[o - 1] != 32 and not (flags[c] & ALONE):
                        out[o] = 32
                        o += 1
                o = put(out, o, t_data, a, b) if table else put(out, o, data, a, b)
        out = room(out, o, stop - done)
        o = put(out, o, data, done, stop)
        bounds[r + 1] = o
    return bounds, out, counts
