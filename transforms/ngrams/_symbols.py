"""Texts as symbols, numbers below 2^32 - 16: the words, pieces or tokens that an n-gram model counts."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.columns import token_lists
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.ngrams._kernels import piece_symbols, word_symbols
from corpusmill.transforms.normal_forms import normalize
from corpusmill.transforms.tokens.tokenizer import load_tokenizer
from corpusmill.transforms.unicode import tables

Units = Literal["words", "pieces", "tokens"]
"""words: lower-cased words, a character of Chinese, Japanese or Thai each (`corpusmill.transforms.words`), by 32 bits of their
hash; pieces: what white space separates, as KenLM takes a text; tokens: the ids of a tokenizer."""


def symbols_of(batch: pa.RecordBatch, units: Units, tokenizer: str | None, where: str) -> tuple[np.ndarray, np.ndarray]:
    """(offsets int64 [n + 1], symbols uint32) of the documents of a batch. A null text has none.

    Args:
        batch: has `text`; with tokens, `input_ids` count where they are there.
        units: what a symbol is.
        tokenizer: path of a tokenizer.json, for tokens.
        where: the step, for errors.

    Raises:
        RecipeError: tokens are asked of documents that have none, and no tokenizer is named.
    """
    if units == "tokens" and "input_ids" in batch.schema.names:
        column = token_lists(batch, "input_ids", where)
        ends = np.zeros(len(column) + 1, np.int64)
        np.cumsum(pc.list_value_length(column).to_numpy(zero_copy_only=False), out=ends[1:])
        return ends, column.flatten().to_numpy(zero_copy_only=False).astype(np.uint32)
    if units == "tokens":
        if tokenizer is None:
            raise RecipeError(
                f"{where}: the model counts tokens, and documents have no `input_ids`; name its `tokenizer`"
            )
        offsets, ids = load_tokenizer(tokenizer).encode(batch.column("text"))
        return np.asarray(offsets, np.int64), np.asarray(ids, np.uint32)
    return text_symbols(batch.column("text"), units)


def text_symbols(texts: pa.Array, units: Units) -> tuple[np.ndarray, np.ndarray]:
    """As `symbols_of`, of words or pieces."""
    texts = texts.fill_null("")
    offsets, data = string_buffers(normalize(texts, "NFC") if units == "words" else texts)
    ends = np.zeros(len(texts) + 1, np.int64)
    # a word takes two bytes with what separates it; characters that are words of their own take three
    out = np.empty((int(offsets[-1]) - int(offsets[0])) // 2 + len(texts) + 1, np.uint32)
    if units == "words":
        word_symbols(offsets, data, *tables(), ends, out)
    else:
        piece_symbols(offsets, data, ends, out)
    return ends, out[: ends[-1]]
