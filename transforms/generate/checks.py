"""The checks of a generated text, in this order. The first failure is the reason of its refusal.

    length       fewer than min_chars or more than max_chars characters
    schema       no match of the regular expression `pattern`, or no JSON object with the `json_keys`
    repetition   distinct word 3-grams below `min_distinct` times what its parent, which is real text, has
    language     not the parent's language
    likelihood   bits per byte under the reference model outside [min_bits, max_bits]
    verifier     the user's function says no, or scores below min_score
    near-real    Jaccard similarity to its parent, or to a text in `against`, from max_similarity on
    near-accepted   the same, to a text accepted before it for the same parent

Each check is a function of columns; Chinese, Japanese and other scripts without spaces are cut by character.
"""

from __future__ import annotations

import functools
import importlib
import json
import math
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.dedup._shingles import shingle_sets
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.unicode import next_word, tables

REASONS = ("length", "schema", "repetition", "language", "likelihood", "verifier", "near-real", "near-accepted")
NGRAM = 3
Verifier = Callable[[str, dict[str, Any]], "bool | float"]


def lengths(texts: pa.Array, min_chars: int, max_chars: int) -> np.ndarray:
    """bool [n]: passes. Text of white space alone has no length."""
    size = pc.utf8_length(pc.utf8_trim_whitespace(texts)).to_numpy(zero_copy_only=False)
    return (size >= min_chars) & (size <= max_chars)


def schema(texts: Sequence[str], pattern: str | None, json_keys: Sequence[str]) -> np.ndarray:
    """bool [n]: matches `pattern` somewhere, and is a JSON object with these keys."""
    wanted = re.compile(pattern, re.DOTALL) if pattern else None
    return np.array([(not wanted or bool(wanted.search(t))) and _has_keys(t, json_keys) for t in texts], np.bool_)


def _has_keys(text: str, keys: Sequence[str]) -> bool:
    if not keys:
        return True
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return isinstance(value, dict) and all(key in value for key in keys)


def distinct(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """(distinct word 3-grams / word 3-grams float64 [n], words int64 [n]); 1 for texts of fewer than four words."""
    words = word_counts(texts)
    unique = pc.list_value_length(shingle_sets(texts, NGRAM)).to_numpy(zero_copy_only=False)
    total = np.maximum(words - NGRAM + 1, 1)
    return np.minimum(unique / total, 1.0), words


def word_counts(texts: pa.Array) -> np.ndarray:
    """Words of each text, int64 [n]."""
    offsets, data = string_buffers(texts)
    out = np.zeros(len(texts), np.int64)
    _count(offsets, data, *tables(), out)
    return out


@njit(nogil=True, cache=True)
def _count(offsets: Any, data: Any, flags: Any, lower: Any, out: Any) -> None:
    for row in range(len(out)):
        at, stop = offsets[row], offsets[row + 1]
        while True:
            begin, at, _ = next_word(data, at, stop, flags, lower)
            if begin == stop:
                break
            out[row] += 1


def languages(texts: pa.Array) -> np.ndarray:
    """Language code of each text by the step `language`; "" where there are no letters to judge by."""
    from corpusmill.transforms.filters.language import Language

    n = len(texts)
    batch = pa.record_batch({"id": [str(i) for i in range(n)], "text": texts, "source": [""] * n})
    judged = Language.model_validate({}).judge(batch, Keyed()).batch
    column = batch.column("text") if judged is None else judged.column("lang")
    return np.array([code or "" for code in column.to_pylist()], object)


def bits(nats: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Bits per byte, float64 [n]; nan where no byte was judged."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(size > 0, nats / math.log(2) / size, np.nan)


@functools.lru_cache(16)
def verifier(path: str) -> Verifier:
    """The user's function `package.module:function`, called with (text, parent's columns). Raises RecipeError."""
    module, _, name = path.partition(":")
    try:
        function: Verifier = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise RecipeError(f"verifier {path!r}: cannot be imported ({error}); write package.module:function") from None
    return function


def scores(path: str, texts: Sequence[str], parents: Sequence[dict[str, Any]]) -> np.ndarray:
    """The verifier's score of each text, float64 [n]; True is 1. An error in it ends the run and names the document."""
    check = verifier(path)
    out = np.zeros(len(texts))
    for i, (text, parent) in enumerate(zip(texts, parents)):
        try:
            out[i] = float(check(text, parent))
        except Exception as error:
            raise RecipeError(
                f"verifier {path} failed on a text made of document {parent.get('id')}: {type(error).__name__}: {error}"
            ) from error
    return out


def jaccard(a: np.ndarray, b: np.ndarray) -> float:
    """|a & b| / |a | b| of two sorted sets; 0 if both are empty."""
    both = len(np.intersect1d(a, b, assume_unique=True))
    union = len(a) + len(b) - both
    return both / union if union else 0.0


class Against:
    """Texts that nothing generated may repeat: real and evaluation text of Parquet files, by inverted shingles."""

    def __init__(self, paths: Sequence[str]) -> None:
        import pyarrow.parquet as pq

        sets: list[np.ndarray] = []
        for path in paths:
            try:
                texts = pq.read_table(path, columns=["text"]).column("text").cast(pa.string()).combine_chunks()
            except (OSError, pa.ArrowException, KeyError) as error:
                raise RecipeError(f"{path}: `against` needs Parquet files with a column text ({error})") from None
            lists = shingle_sets(pc.fill_null(texts, ""), NGRAM)
            ends = lists.offsets.to_numpy()
            values = lists.values.to_numpy()
            sets += [values[a:b] for a, b in zip(ends[:-1], ends[1:])]
        sizes = np.array([len(s) for s in sets], np.int64)
        values = np.concatenate(sets) if sets else np.zeros(0, np.uint32)
        owner = np.repeat(np.arange(len(sets)), sizes)
        order = np.argsort(values, kind="stable")
        self._values, self._owner, self._sizes = values[order], owner[order], sizes

    def similarity(self, shingles: np.ndarray) -> float:
        """The largest Jaccard similarity to one of the texts."""
        begin = np.searchsorted(self._values, shingles, "left")
        end = np.searchsorted(self._values, shingles, "right")
        hits = (
            np.concatenate([self._owner[a:b] for a, b in zip(begin, end)]) if len(shingles) else np.zeros(0, np.int64)
        )
        if not len(hits):
            return 0.0
        owners, both = np.unique(hits, return_counts=True)
        return float((both / (len(shingles) + self._sizes[owners] - both)).max())


def against(paths: tuple[str, ...]) -> Against:
    """The texts of these files, read once a process for each state of the files."""
    return _against(paths, tuple(os.stat(p).st_mtime_ns if os.path.exists(p) else 0 for p in paths))


@functools.lru_cache(4)
def _against(paths: tuple[str, ...], stamps: tuple[int, ...]) -> Against:
    return Against(paths)
