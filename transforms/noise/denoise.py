"""Denoising tasks for training: inputs and targets from token ids."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from corpusmill.transforms.arrow import set_column
from corpusmill.transforms.base import Map, Stability
from corpusmill.transforms.errors import RecipeError, SourceError
from corpusmill.transforms.noise.copies import EVALUATION_SPLITS
from corpusmill.transforms.noise.objectives import corrupt_spans, infill_spans, mask_tokens, split_prefix
from corpusmill.transforms.noise.vocabulary import token_tables
from corpusmill.transforms.random import Keyed

UL2_DENOISERS = (
    (0.15, 3.0, 0),
    (0.15, 8.0, 0),
    (0.5, 3.0, 2),
    (0.5, 8.0, 2),
    (0.15, 64.0, 2),
    (0.5, 64.0, 2),
    (0.25, 0.0, 1),
)
"""(density, mean span length or 0 for the end of the row, mode: 0 = R, 1 = S, 2 = X) of the seven denoisers of UL2."""


class Denoise(Map):
    """Makes denoising tasks of the token ids in `input_ids` (a list of integers a document, without special tokens).

    objective   source                                  columns written
    bert        Devlin et al. 2019, section 3.1         input_ids, labels, loss_mask
    t5          Raffel et al. 2020, section 3.1.4       input_ids, target_ids, loss_mask (of the target)
    ul2         Tay et al. 2022, section 3.1            as t5, after a mode token if `mode_ids` are given
    bart        Lewis et al. 2020, section 2.2          input_ids, target_ids, loss_mask (of the target)
    prefix      Raffel et al. 2020, section 3.2.3       input_ids, labels, loss_mask, prefix_length

    input_ids, labels, target_ids are lists of int32, loss_mask of uint8 (1 = the position counts). Labels stand at the
    position of their token (a causal model shifts them itself) and are -100 where nothing is to be learnt. Draws are keyed by
    (seed, step, document id, epoch). Documents of an evaluation split (`skip_splits`) keep their ids, without a target: their
    loss_mask is zero. Put objectives that change lengths (t5, ul2, bart) before packing.
    Raises RecipeError for ids that an objective lacks, SourceError without a column of token ids.

    >>> batch = pa.record_batch({"id": ["a"], "input_ids": [list(range(10, 20))]})
    >>> task = Denoise(objective="t5", rate=0.3, sentinels=(99, 90))(batch).to_pylist()[0]
    >>> task["input_ids"], task["target_ids"]
    ([10, 11, 12, 13, 14, 15, 16, 99], [99, 17, 18, 19])
    """

    name: ClassVar[str] = "denoise"
    version: ClassVar[int] = 2  # spans keep their mean length in documents with more spans than sentinels
    stability: ClassVar[Stability] = "record"
    example: ClassVar[str] = "{objective: bert, mask_id: 4, vocab_size: 32000}"

    objective: Literal["bert", "t5", "ul2", "bart", "prefix"] = Field(
        "bert", description="What the model has to restore."
    )
    rate: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Share of tokens lost; by default 0.15 (bert, t5) or 0.3 (bart); ul2 and prefix have their own.",
    )
    span_length: float = Field(
        3.0,
        ge=1,
        description="Mean length of a lost span (t5, bart), in tokens. A document that needs more sentinels than there are loses "
        "fewer spans.",
    )
    mask_id: int | None = Field(None, ge=0, description="Id of the mask token (bert, bart).")
    vocab_size: int | None = Field(
        None, ge=1, description="Number of ids that random replacements are drawn from (bert)."
    )
    shares: tuple[float, float] = Field(
        (0.8, 0.1), description="Shares of selected tokens masked and replaced (bert); the rest stays."
    )
    whole_words: bool = Field(False, description="Select all tokens of a word together (bert); needs `tokenizer`.")
    special_ids: tuple[int, ...] = Field((), description="Ids never selected (bert).")
    sentinels: tuple[int, int] | None = Field(
        None,
        description="First and last id of the sentinel tokens (t5, ul2), in their order of use: (32099, 32000) for T5.",
    )
    eos_id: int | None = Field(None, ge=0, description="Id put behind input and target (t5, ul2).")
    mode_ids: tuple[int, int, int] | None = Field(
        None, description="Ids of the mode tokens [R], [S], [X] put before the input (ul2)."
    )
    permute_sentences: bool = Field(
        False, description="Put the sentences in random order first (bart); needs `tokenizer`."
    )
    tokenizer: str | None = Field(None, description="Path of the tokenizer.json that wrote the ids.")
    skip_splits: tuple[str, ...] = Field(
        EVALUATION_SPLITS,
        description="Documents whose column `split` has one of these values get no noise and no target.",
    )

    @model_validator(mode="after")
    def _complete(self) -> Denoise:
        needed = {"bert": ("mask_id", "vocab_size"), "bart": ("mask_id",), "t5": ("sentinels",), "ul2": ("sentinels",)}
        missing = [n for n in needed.get(self.objective, ()) if getattr(self, n) is None]
        if (self.whole_words or self.permute_sentences) and self.tokenizer is None:
            missing.append("tokenizer")
        if missing:
            raise ValueError(
                f"objective {self.objective} needs {' and '.join(missing)}: give the ids of your tokenizer"
            )
        if min(self.shares) < 0 or sum(self.shares) > 1:
            raise ValueError(
                f"shares {self.shares} are not two parts of one: give two numbers from 0 on with a sum up to 1"
            )
        return self

    def files(self) -> list[str]:
        return [self.tokenizer] if self.tokenizer else []

    def map(self, batch: pa.RecordBatch, rng: Keyed) -> pa.RecordBatch:
        offsets, values = token_buffers(batch)
        keys = rng.keys(batch)
        active = np.ones(batch.num_rows, np.bool_)
        if "split" in batch.schema.names and self.skip_splits:
            split = pc.utf8_lower(batch.column("split").cast(pa.string()))
            skipped = pc.is_in(split, pa.array([s.lower() for s in self.skip_splits], pa.string()))
            active = ~skipped.to_numpy(zero_copy_only=False).astype(np.bool_)
        if self.objective == "bert":
            special = np.zeros(max(self.special_ids, default=-1) + 1, np.bool_)
            special[list(self.special_ids)] = True
            begins = token_tables(str(self.tokenizer))[0] if self.whole_words else np.zeros(0, np.bool_)
            ids, labels, loss = mask_tokens(
                offsets, values, keys, active, self.rate or 0.15, np.array(self.shares), self.mask_id, self.vocab_size,
                special, begins,
            )  # fmt: skip
            return _columns(batch, input_ids=(offsets, ids), labels=(offsets, labels), loss_mask=(offsets, loss))
        if self.objective == "prefix":
            labels, loss, lengths = split_prefix(offsets, values, keys, active)
            out = _columns(batch, input_ids=(offsets, values), labels=(offsets, labels), loss_mask=(offsets, loss))
            return set_column(out, "prefix_length", pa.array(lengths))
        if "segment_ids" in batch.schema.names:
            raise RecipeError(
                f"denoise: {self.objective} changes lengths, but the rows are packed. Put it before `pack`."
            )
        if self.objective == "bart":
            ends = token_tables(str(self.tokenizer))[1] if self.permute_sentences else np.zeros(0, np.bool_)
            in_offsets, ids = infill_spans(
                offsets,
                values,
                keys,
                active,
                self.rate or 0.3,
                self.span_length,
                self.mask_id,
                self.permute_sentences,
                ends,
            )
            lengths = np.where(active, np.diff(offsets), 0)
            out_offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
            targets = values[np.repeat(active, np.diff(offsets))]
        else:
            in_offsets, ids, out_offsets, targets = self._corrupt(offsets, values, keys, active)
        ones = np.ones(len(targets), np.uint8)
        return _columns(
            batch, input_ids=(in_offsets, ids), target_ids=(out_offsets, targets), loss_mask=(out_offsets, ones)
        )

    def _corrupt(
        self, offsets: np.ndarray, values: np.ndarray, keys: np.ndarray, active: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        denoisers = UL2_DENOISERS if self.objective == "ul2" else ((self.rate or 0.15, self.span_length, 0),)
        modes = self.mode_ids if self.objective == "ul2" and self.mode_ids else (-1, -1, -1)
        first, last = self.sentinels or (0, 0)
        return corrupt_spans(
            offsets, values, keys, active,
            np.array([d[0] for d in denoisers]), np.array([d[1] for d in denoisers]),
            np.array([modes[d[2]] for d in denoisers], np.int64),
            first, 1 if last >= first else -1, abs(last - first) + 1, -1 if self.eos_id is None else self.eos_id,
        )  # fmt: skip


def token_buffers(batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
    """(offsets int32 [n + 1] from 0, ids int32) of the column `input_ids`."""
    if "input_ids" not in batch.schema.names:
        raise SourceError(
            f"no column `input_ids` among {', '.join(batch.schema.names)}. Put a tokenising step before `denoise`."
        )
    column = batch.column("input_ids")
    try:
        column = column.cast(pa.list_(pa.int32()))
    except pa.ArrowInvalid as error:
        raise SourceError(f"column `input_ids` is {column.type}, not a list of 32-bit ids ({error}).") from None
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return offsets, column.flatten().to_numpy(zero_copy_only=False)


def _columns(batch: pa.RecordBatch, **columns: tuple[np.ndarray, np.ndarray]) -> pa.RecordBatch:
    for name, (offsets, values) in columns.items():
        batch = set_column(batch, name, pa.ListArray.from_arrays(pa.array(offsets), pa.array(values)))
    return batch
