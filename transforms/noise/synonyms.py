"""Synonym replacement."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.hashing import U, mix64
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.noise.buffers import output_buffers, put, room
from corpusmill.transforms.noise.copies import Copies, Versions, as_texts, text_buffers
from corpusmill.transforms.noise.wordnet import FILES, find_entry, load_synonyms, put_like
from corpusmill.transforms.noise.words import word_slots, word_spans
from corpusmill.transforms.random import draw
from corpusmill.transforms.unicode import tables


class WithWordNet(Copies):
    """Base of the steps that draw synonyms: where WordNet is, and which of its senses count."""

    senses: int = Field(1, ge=1, description="How many of a word's senses, the most frequent first, give synonyms.")
    phrases: bool = Field(False, description="Also use synonyms of several words.")
    langs: tuple[str, ...] = Field(
        ("en",),
        description="Where there is a column `lang`: its values whose documents get synonyms; a null counts as one.",
    )
    wordnet: str | None = Field(None, description="Folder of a WordNet database; by default NLTK's `wordnet` data.")

    def files(self) -> list[str]:
        return [str(Path(self.wordnet) / name) for name in FILES] if self.wordnet else []

    def resolved(self, folder: str) -> Self:
        """A copy whose `wordnet` path is resolved against `folder`."""
        if self.wordnet is None:
            return self
        return self.model_copy(update={"wordnet": os.path.join(folder, os.path.expanduser(self.wordnet))})

    def fingerprint(self) -> str:
        """The fingerprint of every step, with the content of WordNet's files instead of their path."""
        plain = super(WithWordNet, self.model_copy(update={"wordnet": None})).fingerprint()
        if self.wordnet is None:
            return plain
        digest = hashlib.sha256(plain.encode())
        for path in self.files():
            try:
                digest.update(hashlib.sha256(Path(path).read_bytes()).digest())
            except OSError as error:
                raise RecipeError(
                    f"{path}: cannot be read: {error.strerror}. Correct `wordnet` in the recipe."
                ) from None
        return digest.hexdigest()[:32]

    def spoken(self, batch: pa.RecordBatch) -> np.ndarray:
        """bool [n]: the rows in a language of `langs`."""
        if "lang" not in batch.schema.names:
            return np.ones(batch.num_rows, np.bool_)
        known = pc.is_in(batch.column("lang").cast(pa.string()), pa.array(self.langs, pa.string()))
        return pc.or_(known, batch.column("lang").is_null()).to_numpy(zero_copy_only=False).astype(np.bool_)


class Synonyms(WithWordNet):
    """Replaces words by synonyms from WordNet, drawn from a table frozen once per worker.

    Source: WordNet (Fellbaum 1998) through NLTK's data or a database folder; the replacement of Zhang et al. 2015,
    "Character-level convolutional networks for text classification", section 2.3. English only.
    Each word that has synonyms is replaced with probability `rate`, keyed by (seed, step, document id, epoch, copy, word);
    the case of the first letter, or of all, is kept.
    Raises MissingDependencyError, with the command to run, where WordNet is absent.
    """

    name: ClassVar[str] = "synonyms"
    version: ClassVar[int] = 1

    rate: float = Field(0.1, gt=0, le=1, description="Share of the words with synonyms that are replaced.")

    def untouched(self, batch: pa.RecordBatch) -> np.ndarray:
        return super().untouched(batch) | ~self.spoken(batch)

    def noisy(self, batch: pa.RecordBatch, versions: Versions) -> tuple[pa.Array, np.ndarray]:
        table = load_synonyms(self.wordnet, self.senses, self.phrases)
        offsets, data, edits = _synonyms(
            *text_buffers(batch), versions.rows, versions.copies, versions.keys, self.rate, tables()[0], *table.arrays
        )
        return as_texts(offsets, data), edits


@njit(nogil=True, cache=True)
def _synonyms(
    offsets: Any, data: Any, rows: Any, copies: Any, keys: Any, rate: float, flags: Any,
    slots: Any, hashes: Any, first: Any, s_offsets: Any, s_data: Any,
) -> tuple[Any, Any, Any]:  # fmt: skip
    m = len(rows)
    threshold = U(rate * 4294967296.0)
    starts, ends = word_slots(offsets, rows)
    out, bounds = output_buffers(offsets, rows)
    edits = np.zeros(m, np.int64)
    o = 0
    for r in range(m):
        begin, stop = np.int64(offsets[rows[r]]), np.int64(offsets[rows[r] + 1])
        out = room(out, o, stop - begin)
        n = word_spans(data, begin, stop, flags, starts, ends) if copies[r] > 0 else 0
        done = begin
        for k in range(n):
            d = draw(keys[r], k)
            if (d >> U(32)) >= threshold:
                continue
            entry = find_entry(data, starts[k], ends[k], slots, hashes)
            if entry < 0:
                continue
            s = mix64(d ^ U(0xD6E8FEB86659FD93))
            pick = first[entry] + np.int64(((s >> U(32)) * U(first[entry + 1] - first[entry])) >> U(32))
            a, b = s_offsets[pick], s_offsets[pick + 1]
            out = room(out, o, starts[k] - done + b - a)
            o = put(out, o, data, done, starts[k])
            o = put_like(out, o, s_data, a, b, data, starts[k], ends[k])
            done = np.int64(ends[k])
            edits[r] += 1
        out = room(out, o, stop - done)
        o = put(out, o, data, done, stop)
        bounds[r + 1] = o
    return bounds, out, edits
