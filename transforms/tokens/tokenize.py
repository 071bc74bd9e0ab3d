"""Text to token ids."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from corpusmill.transforms.arrow import set_column
from corpusmill.transforms.base import Map, Stability
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.tokens.packing import wrap
from corpusmill.transforms.tokens.tokenizer import load_tokenizer


class Tokenize(Map):
    """Adds the column `input_ids`: the document's token ids, list<uint16> up to 65,536 tokens, else list<int32>.

    Source: byte-level BPE (Radford et al. 2019, section 2.2) or whatever the tokenizer.json holds; the ids are those of
    HF `tokenizers` without special tokens, between `bos` and `eos` where those are given. An empty document has no ids.

    Raises:
        BadFileError: the tokenizer cannot be read. RecipeError: it has no such token.

    >>> Tokenize(tokenizer="tokenizer.json", eos="<|endoftext|>").special_in_text
    False
    """

    name: ClassVar[str] = "tokenize"
    stability: ClassVar[Stability] = "record"
    example: ClassVar[str] = "{tokenizer: tokenizer.json}"

    tokenizer: str = Field(description="path of a tokenizer.json")
    bos: str | None = Field(None, description="token before each document; none by default")
    eos: str | None = Field(None, description="token behind each document; none by default (`pack` adds its own)")
    special_in_text: bool = Field(False, description="special tokens written out in a text become their ids")

    def libraries(self) -> tuple[str, ...]:
        return ()

    def needs(self) -> tuple[str, ...]:
        return ("tokenizers",)

    def files(self) -> list[str]:
        """The tokenizer: its content is part of the fingerprint."""
        return [self.tokenizer]

    def map(self, batch: pa.RecordBatch, rng: Keyed) -> pa.RecordBatch:
        """The batch with `input_ids`."""
        tokenizer = load_tokenizer(self.tokenizer, self.special_in_text)
        bos = tokenizer.id_of(self.bos, "tokenize.bos") if self.bos is not None else -1
        eos = tokenizer.id_of(self.eos, "tokenize.eos") if self.eos is not None else -1
        offsets, ids = tokenizer.encode(batch.column("text"))
        offsets, tokens = wrap(offsets, ids, bos, eos, tokenizer.dtype)
        return set_column(
            batch, "input_ids", pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(tokens))
        )
