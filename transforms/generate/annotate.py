"""Asks a model for a score of a sample of documents, and for a reason."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from corpusmill.transforms.arrow import set_column
from corpusmill.transforms.base import Applied, Decided, Group, Stability
from corpusmill.transforms.columns import labels
from corpusmill.transforms.generate.model import Request, Sampling, ask, open_model
from corpusmill.transforms.generate.rubrics import answer, prompt
from corpusmill.transforms.generate.select import class_ranks
from corpusmill.transforms.generate.step import ModelStep
from corpusmill.transforms.hashing import hash64
from corpusmill.transforms.random import Keyed, draw_array
from corpusmill.transforms.versions import file_digest

_SENT = pa.schema({"key": pa.uint64(), "row": pa.uint32(), "stratum": pa.uint64(), "order": pa.uint64()})
_TOLD = pa.schema({"shard": pa.uint32(), "row": pa.uint32(), "again": pa.bool_()})
_TWICE = pa.schema({"id": pa.string(), "score": pa.float64(), "again": pa.float64()})
_AGAIN = 1_000
"""Number of the first try of the second pass: its draws are others than those of the first."""


class Annotate(ModelStep, Group):
    """Asks a model for a score and a reason of a sample of the documents, by a rubric: labels for `corpusmill scorer train`.

    Source: labels of a language model as in FineWeb-Edu (Penedo et al. 2024, arXiv 2406.17557, section 4). The sample takes from
    each value of `by` in turn the document that comes first by a draw keyed by (`seed`, id), so small languages or sources have
    as many as large ones. It does not depend on shards, workers or order. Columns: `score` float64, `reason`. An answer must
    hold a score from `lowest` to `highest`; else the model is asked again, up to `tries` times. Answers are cached: no request
    is sent twice, also after a crash.

    Dropped are documents outside the sample (`not-sampled`; `others: keep` keeps them without a score), and those without a
    readable answer (`no-score`, with the number of tries). A share of the sample, `second`, is asked a second time with other
    draws; the side table `judged_twice` has both scores, and `corpusmill scorer train` reports their agreement.

    One task decides, on 36 bytes a document.

    Raises:
        BadFileError: the rubric's file has no `{text}`. RecipeError, ApiError: the model fails, or writes no text.

    >>> Annotate(model="api:http://localhost:8000/v1#qwen", sample=1000, by="lang").rubric
    'educational'
    """

    name: ClassVar[str] = "annotate"
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = "cross"
    example: ClassVar[str] = "{model: 'api:http://localhost:8000/v1#qwen', sample: 10000}"

    model: str = Field(min_length=1, description="the judge: api:http://HOST/v1#NAME, a run, checkpoint, or hf:FOLDER")
    rubric: str = Field(
        "educational",
        min_length=1,
        description="`educational`, or a text file that asks the question, with `{text}` where the document stands",
    )
    sample: int = Field(10_000, ge=1, description="documents that are judged at most")
    by: str | None = Field(
        None, min_length=1, description="column whose values have equal parts in the sample, as `lang`"
    )
    lowest: float = Field(0, description="lowest score")
    highest: float = Field(5, description="highest score")
    chars: int = Field(4_000, ge=1, description="characters of a document's beginning that the model sees")
    tries: int = Field(2, ge=1, le=100, description="how often the model is asked at most until its answer can be read")
    second: float = Field(0.1, ge=0, le=1, description="share of the sample that is judged a second time")
    temperature: float = Field(0.5, ge=0, description="of the draws; 0: the likeliest answer, and the same one again")
    max_tokens: int = Field(200, ge=1, description="tokens of an answer at most")
    others: Literal["drop", "keep"] = Field("drop", description="what becomes of documents outside the sample")
    seed: int = Field(1, ge=0, description="seed of the sample and of the answers' draws")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.lowest < self.highest:
            raise ValueError(f"`lowest` is {self.lowest:g}, and `highest` {self.highest:g}; give a range of scores")
        return self

    def files(self) -> list[str]:
        return [] if self.rubric == "educational" else [self.rubric]

    def keys(self, rnd: int, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        n = batch.num_rows
        strata = np.zeros(n, np.uint64)
        if self.by is not None and n:
            strata = hash64(labels(batch, self.by, "annotate.by").fill_null(""))
        order = draw_array(Keyed(self.seed, self.name).keys(batch), 0)
        columns = [np.zeros(n, np.uint64), rows.astype(np.uint32), strata, order]
        return pa.RecordBatch.from_arrays([pa.array(c, f.type) for c, f in zip(columns, _SENT)], schema=_SENT)

    def decide(self, rnd: int, keys: pa.Table) -> Decided:
        strata, order = keys["stratum"].to_numpy(), keys["order"].to_numpy()
        rank = class_ranks(np.unique(strata, return_inverse=True)[1], np.zeros(len(order)), order)
        chosen = np.lexsort((strata, order, rank))[: self.sample]
        again = np.zeros(len(order), np.bool_)
        again[chosen[: round(self.second * len(chosen))]] = True
        at = np.sort(chosen)
        told = [keys["shard"].take(at), keys["row"].take(at), pa.array(again[at])]
        return Decided(pa.table(told, schema=_TOLD))

    def adds_to(self) -> bool:
        return True

    def apply(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table) -> Applied:
        n = batch.num_rows
        at = np.searchsorted(rows, decisions["row"].to_numpy()).astype(np.int64)
        found = self._judged(batch, at, 0)
        second = at[decisions["again"].to_numpy(zero_copy_only=False)]
        again = self._judged(batch, second, _AGAIN)
        scores: list[float | None] = [None] * n
        reasons: list[str | None] = [None] * n
        for row, said in found.items():
            scores[row], reasons[row] = said
        out = set_column(batch, "score", pa.array(scores, pa.float64()))
        out = set_column(out, "reason", pa.array(reasons, pa.string()))
        failed = [row for row in at.tolist() if row not in found]
        left = [] if self.others == "keep" else np.setdiff1d(np.arange(n), at).tolist()
        dropped = np.array(sorted([*failed, *left]), np.int64)
        why = {
            **dict.fromkeys(left, ("not-sampled", float("nan"))),
            **dict.fromkeys(failed, ("no-score", float(self.tries))),
        }
        names, values = [why[r][0] for r in dropped.tolist()], [why[r][1] for r in dropped.tolist()]
        both = [r for r in second.tolist() if r in found and r in again]
        pairs = [batch.column("id").take(pa.array(both, pa.int64()))] + [
            [s[r][0] for r in both] for s in (found, again)
        ]
        table = pa.RecordBatch.from_arrays([pa.array(c, f.type) for c, f in zip(pairs, _TWICE)], schema=_TWICE)
        return replace(Applied.without(out, dropped, names, values), tables={"judged_twice": table})

    def _judged(self, batch: pa.RecordBatch, rows: np.ndarray, first_try: int) -> dict[int, tuple[float, str]]:
        """(score, reason) of each row with a readable answer."""
        if not len(rows):
            return {}
        judge = open_model(self.model)
        digest = "" if self.rubric == "educational" else file_digest(self.rubric)
        text = pc.utf8_slice_codeunits(batch.column("text").fill_null(""), 0, self.chars)
        sampling = Sampling(self.max_tokens, self.temperature, top_p=1.0)
        keys, found = Keyed(self.seed, self.name).keys(batch), {}
        waiting = rows.tolist()
        for number in range(first_try + 1, first_try + 1 + self.tries):
            drawn = draw_array(keys[waiting], number)
            requests = [
                Request(
                    prompt(self.rubric, digest, text[row].as_py(), self.lowest, self.highest),
                    int(key),
                    batch.column("id")[row].as_py(),
                    sampling,
                )
                for row, key in zip(waiting, drawn.tolist())
            ]
            for row, said in zip(waiting, ask(judge, requests)):
                if (read := answer(said, self.lowest, self.highest)) is not None:
                    found[row] = read
            waiting = [row for row in waiting if row not in found]
            if not waiting:
                break
        return found
