"""The last step of a recipe that makes shards to distil from: packed rows with what a teacher says of each next token."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from corpusmill.transforms.base import Account, Stability, Transform
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.generate.model import ENSEMBLE, open_model
from corpusmill.transforms.generate.step import ModelStep
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.tokens.pack import Pack


class Distill(ModelStep, Pack):
    """Packs as `pack` does and adds the teacher's columns, which `objective: {name: distillation}` learns from.

    Source: random-sampled logits (Anshumann et al. 2025), top-k with the rest as one event, or the full distribution; the losses
    are in `corpusmill.training.distill`. Columns beside those of `pack`: `teacher_draws` [length * draws], or `teacher_ids`
    [length * k] and `teacher_logp` float16 [length * k], or `teacher_logp` [length * vocabulary]: token t's values lie
    together and are about token t + 1. Draws are keyed by (seed, the row's tokens). For shards beside data that is packed already:
    `corpusmill.training.serving.teach.teach`.

    Raises:
        RecipeError: the teacher reads another tokenizer than `tokenizer`, or `segments` is false.

    >>> Distill(model="runs/teacher", tokenizer="tokenizer.json").draws
    12
    """

    name: ClassVar[str] = "distill"
    version: ClassVar[int] = 1
    example: ClassVar[str] = "{model: runs/teacher, tokenizer: tokenizer.json}"
    refusal: ClassVar[tuple[str, str]] = Transform.refusal

    model: str = Field(
        min_length=1,
        description="the teacher: a run or checkpoint of a decoder, or hf:FOLDER; a list of them is an ensemble",
    )
    kind: Literal["sampled", "top-k", "full"] = Field(
        "sampled", description="what is kept of the teacher's distribution"
    )
    draws: int = Field(12, ge=1, le=1000, description="token ids drawn for each token (sampled)")
    top_k: int = Field(16, ge=1, le=10_000, description="likeliest tokens kept (top-k)")
    temperature: float = Field(1.0, gt=0, description="of the teacher; the student's must be the same")

    @field_validator("model", mode="before")
    @classmethod
    def _one_of_several(cls, value: Any) -> Any:
        several = isinstance(value, list) and len(value) > 1 and all(isinstance(v, str) and "," not in v for v in value)
        return ENSEMBLE + ",".join(value) if several else value

    def reach(self, is_unit: Callable[[str], bool]) -> tuple[Stability, str]:
        return self.stability, ""  # also with `separate`: rows are written by a teacher

    def finish(self, batches: Iterable[pa.RecordBatch], rng: Keyed, account: Account) -> Iterator[pa.RecordBatch]:
        """The rows of `pack` with the teacher's columns; at least one batch."""
        teacher: Any = open_model(self.model)
        from corpusmill.transforms.tokens.tokenizer import load_tokenizer

        if not hasattr(teacher, "teach"):
            raise RecipeError(f"distill.model: {self.model} gives no distribution over tokens; name a local decoder")
        if not self.segments:
            raise RecipeError("distill.segments: the teacher must know where documents begin; leave `segments: true`")
        if (own := load_tokenizer(self.tokenizer).digest) != teacher.vocabulary.digest:
            raise RecipeError(
                f"distill.model: {self.model} reads another tokenizer ({teacher.vocabulary.digest[:12]}) than {self.tokenizer} "
                f"({own[:12]}); pack with the teacher's"
            )
        size = {"sampled": self.draws, "top-k": self.top_k, "full": 0}[self.kind]
        for batch in super().finish(batches, rng, account):
            columns = {n: _array(batch.column(n)) for n in ("input_ids", "segment_ids", "position_ids")}
            for name, values in teacher.teach(columns, self.kind, size, self.temperature, rng.seed).items():
                flat = pa.array(values.reshape(-1))
                width = int(np.prod(values.shape[1:]))
                batch = batch.append_column(name, pa.FixedSizeListArray.from_arrays(flat, width))
            yield batch


def _array(column: pa.Array) -> np.ndarray:
    """A list column of a fixed size as int64 [n, length]."""
    return column.flatten().to_numpy().reshape(len(column), column.type.list_size).astype(np.int64)
