"""Documents that a model writes from real ones, checked and recorded with their origin."""

from __future__ import annotations

import hashlib
import json
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator, model_validator

from corpusmill.transforms.arrow import set_column
from corpusmill.transforms.base import Expand, Stability
from corpusmill.transforms.columns import labels, numbers, texts
from corpusmill.transforms.dedup._shingles import shingle_sets
from corpusmill.transforms.document import derived_ids
from corpusmill.transforms.generate import checks, prompts
from corpusmill.transforms.generate.model import Request, Sampling, ask, digest_of, open_model
from corpusmill.transforms.generate.step import ModelStep
from corpusmill.transforms.noise.copies import EVALUATION_SPLITS, repeats
from corpusmill.transforms.random import Keyed, draw_array, uniform_array

SYNTHETIC, REAL = "synthetic", "real"


class Generate(ModelStep, Expand):
    """Asks a model for new documents, by rejection sampling: up to `tries` texts a document until `copies` pass all checks.

    Source: prompts of `corpusmill.transforms.generate.prompts` (WRAP, Maini et al. 2024; Self-Instruct, Wang et al. 2023; or
    a template: with `{text}` and a teacher this is the sequence-level distillation of Kim and Rush 2016); the checks and
    their order are those of `corpusmill.transforms.generate.checks`. Try k of a document is drawn from (seed, step, document
    id, k): batches, workers and retries change nothing, and behind `pipelines` no request is sent twice. Only real text is
    asked about: rows with a parent, and evaluation splits, pass through.

    With `for: holes` documents of small clusters are asked about, as often as the cluster lacks documents for the mean size; put
    `cluster: {lack: true}` before. A topic without any document has no parent: `select: {for: holes}` looks for those.

    A written document has its own `id`, the columns of its parent, `parent`, `origin` ("synthetic"; "real" for all others) and
    `derived_by`: JSON of the model's digest, the prompt's form and SHA-256, try, round, seed and scores. Real text is never
    replaced. Refused texts are not written, or with `refused: mark` carry the reason, for the step `accepted`, which drops them
    and has each in the ledger.

    Raises:
        RecipeError: no such model, a column or verifier that is missing. DatasetError, ApiError: the model fails.

    >>> Generate(model="runs/docs", prompt="continue").tries
    3
    """

    name: ClassVar[str] = "generate"
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = "record"
    example: ClassVar[str] = "{model: 'api:http://localhost:8000/v1#qwen', prompt: rephrase}"
    specifications: ClassVar[tuple[str, ...]] = ("model", "reference")

    model: str = Field(min_length=1, description="a run, checkpoint, hf:FOLDER, or api:http://HOST/v1#NAME")
    prompt: Literal["template", "continue", "rephrase", "instruct"] = Field(
        "template", description="what the model is asked (see corpusmill.transforms.generate.prompts)"
    )
    template: str = Field("{text}", min_length=1, description="the prompt, with columns in braces (template)")
    words: int = Field(32, ge=1, description="first words of the document that are the prompt (continue)")
    keep_prompt: bool = Field(False, description="the new document begins with the prompt (continue)")
    styles: tuple[Literal["easy", "encyclopedic", "terse", "questions"], ...] = Field(
        ("easy", "encyclopedic", "terse", "questions"), min_length=1, description="one is drawn by document (rephrase)"
    )
    tasks: str | None = Field(None, description="Parquet or JSONL of seed tasks: instruction, input, output (instruct)")
    examples: int = Field(4, ge=1, description="seed tasks shown (instruct)")
    copies: int = Field(1, ge=1, le=100, description="documents written for each, if so many pass")
    purpose: Literal["all", "holes"] = Field(
        "all", alias="for", description="holes: only for documents of small clusters, as many as these lack, see `lack`"
    )
    lack: str = Field(
        "cluster.lack",
        min_length=1,
        description="column of how many documents are lacking for each, of `cluster: {lack: true}` (holes); `copies` at most",
    )
    tries: int = Field(3, ge=1, le=1000, description="texts asked for at most for each document")
    max_tokens: int = Field(256, ge=1, description="tokens of a text at most")
    temperature: float = Field(0.8, ge=0, description="0: the likeliest token, and the same text at every try")
    top_k: int = Field(0, ge=0, description="draws from so many likeliest tokens; 0: all")
    top_p: float = Field(0.95, gt=0, le=1, description="draws from the fewest tokens of this probability")
    round: int = Field(0, ge=0, description="number of the round, on record in `derived_by`")
    min_chars: int = Field(20, ge=1, description="shorter texts are refused")
    max_chars: int = Field(100_000, ge=1, description="longer texts are refused")
    pattern: str | None = Field(None, description="regular expression that must match somewhere")
    json_keys: tuple[str, ...] = Field((), description="the text must be a JSON object with these keys")
    min_distinct: float = Field(
        0.7, ge=0, description="distinct word 3-grams a word, as a share of the parent's; repetitive texts have fewer"
    )
    same_language: bool = Field(False, description="texts in another language than the parent's are refused")
    reference: str | None = Field(None, description="language model whose likelihood must lie in the band")
    min_bits: float = Field(0.0, ge=0, description="bits per byte under `reference` at least: less is repeated by rote")
    max_bits: float = Field(8.0, ge=0, description="bits per byte under `reference` at most: more is gibberish")
    verifier: str | None = Field(
        None, description="package.module:function of (text, parent's columns) to bool or score"
    )
    min_score: float = Field(1.0, description="the verifier's score at least; True is 1")
    max_similarity: float = Field(
        0.8, gt=0, le=1, description="Jaccard similarity of word 3-grams from which on a text repeats another one"
    )
    against: tuple[str, ...] = Field(
        (), description="Parquet files of real or evaluation text that must not be repeated"
    )
    refused: Literal["drop", "mark"] = Field(
        "drop", description="mark: refused texts are rows, for the step `accepted`"
    )
    skip_splits: tuple[str, ...] = Field(EVALUATION_SPLITS, description="values of `split` that are not asked about")

    def modules(self) -> list[str]:
        """The verifier's module."""
        return [self.verifier.partition(":")[0]] if self.verifier else []

    @field_validator("template")
    @classmethod
    def _fields(cls, value: str) -> str:
        prompts.fields(value)
        return value

    model_config = Expand.model_config | {"populate_by_name": True}

    @model_validator(mode="after")
    def _whole(self) -> Generate:
        if self.prompt == "instruct" and self.tasks is None:
            raise ValueError("`prompt: instruct` needs `tasks`; name a file of seed tasks")
        if self.copies > self.tries:
            raise ValueError(f"`copies` is {self.copies}, more than `tries` ({self.tries}); raise `tries`")
        return self

    def files(self) -> list[str]:
        """Seed tasks and the texts that must not be repeated."""
        return [*([self.tasks] if self.tasks else []), *self.against]

    def expand(self, batch: pa.RecordBatch, rng: Keyed) -> pa.RecordBatch:
        asked = self._asked(batch)
        rows = batch.take(pa.array(asked)).to_pylist()
        keys = rng.keys(batch)[asked]
        attempts = (
            _Attempts(self, batch.take(pa.array(asked)), rows, self._wanted(batch, keys, asked)) if len(rows) else None
        )
        for number in range(1, self.tries + 1):
            if attempts is None or not len(open_places := attempts.lacking()):
                break
            drawn = draw_array(keys[open_places], number)
            written = self._write([rows[i] for i in open_places], drawn)
            attempts.judge(open_places, number, [p for p, _ in written], [t for _, t in written])
        texts = attempts.texts if attempts else []
        return self._rows(batch, asked, texts, rng)

    def _asked(self, batch: pa.RecordBatch) -> np.ndarray:
        """Rows for which the model is asked, int64."""
        asked = np.ones(batch.num_rows, np.bool_)
        names = batch.schema.names
        if "parent" in names:
            asked &= batch.column("parent").is_null().to_numpy(zero_copy_only=False)
        if "split" in names and self.skip_splits:
            split = pc.utf8_lower(labels(batch, "split", "generate.skip_splits"))
            skipped = pc.is_in(split, pa.array([s.lower() for s in self.skip_splits], pa.string()))
            asked &= ~skipped.fill_null(False).to_numpy(zero_copy_only=False)
        if self.prompt != "instruct":
            asked &= pc.utf8_length(pc.utf8_trim_whitespace(batch.column("text"))).fill_null(0).to_numpy() > 0
        return np.flatnonzero(asked)

    def _wanted(self, batch: pa.RecordBatch, keys: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """How many documents are written for each of the rows `asked`: int64. A part of one is drawn."""
        if self.purpose == "all":
            return np.full(len(asked), self.copies, np.int64)
        lacking = numbers(batch, self.lack, "generate.lack").fill_null(0.0).to_numpy(zero_copy_only=False)[asked]
        whole = np.floor(np.clip(np.nan_to_num(lacking), 0, self.copies))
        more = uniform_array(draw_array(keys, 0)) < np.nan_to_num(lacking) - whole
        return np.minimum(whole + more, self.copies).astype(np.int64)

    def _write(self, rows: list[dict[str, Any]], keys: np.ndarray) -> list[tuple[str, str]]:
        """(prompt, text) for each row."""
        sampling = Sampling(self.max_tokens, self.temperature, self.top_k, self.top_p)
        texts = [self._prompt(row, int(key)) for row, key in zip(rows, keys)]
        requests = [Request(p, int(k), str(row["id"]), sampling) for p, k, row in zip(texts, keys, rows)]
        answers = ask(open_model(self.model), requests)
        whole = self.keep_prompt and self.prompt == "continue"
        return [(p, p + answer if whole else answer) for p, answer in zip(texts, answers)]

    def _prompt(self, row: dict[str, Any], key: int) -> str:
        if self.prompt == "continue":
            return prompts.beginning(row["text"], self.words)
        if self.prompt == "rephrase":
            return prompts.rephrase(row["text"], self.styles, key)
        if self.prompt == "instruct":
            return prompts.instruct(prompts.read_tasks(str(self.tasks)), self.examples, key)
        return prompts.fill(self.template, row)

    def form(self) -> dict[str, Any]:
        """The prompt's form, for `derived_by`."""
        of = {
            "template": ("template",),
            "continue": ("words", "keep_prompt"),
            "rephrase": ("styles",),
            "instruct": ("examples",),
        }
        return {"kind": self.prompt, **{name: getattr(self, name) for name in of[self.prompt]}}

    def _rows(self, batch: pa.RecordBatch, asked: np.ndarray, written: list[_Text], rng: Keyed) -> pa.RecordBatch:
        """The originals, each followed by the texts derived from it."""
        written = sorted(written, key=lambda m: (m.place, m.number))
        places = np.concatenate(
            [np.arange(batch.num_rows), asked[[m.place for m in written]] if written else np.zeros(0, np.int64)]
        )
        order = np.argsort(places, kind="stable")
        n, new = batch.num_rows, len(written)
        derived = np.arange(n + new) >= n
        out = batch.take(pa.array(places.astype(np.int64)))
        named = repeats(out)
        ids = out.column("id").to_pylist()
        lineage: list[str | None] = [None] * n
        model = digest_of(self.model)
        for i, one in enumerate(written, n):
            ids[i] = derived_ids(named.slice(i, 1), f"{self.name}\0{rng.base}\0{model}", one.number)[0].as_py()
            lineage.append(json.dumps(self._about(one, model, rng), ensure_ascii=False, sort_keys=True))
        texts = pa.concat_arrays(
            [batch.column("text"), pa.array([m.text for m in written], batch.schema.field("text").type)]
        )
        parents = pc.if_else(pa.array(derived), out.column("id"), _kept(out, "parent"))
        marks: list[tuple[str, pa.Array]] = [
            ("id", pa.array(ids, out.column("id").type)),
            ("text", texts),
            ("parent", parents),
            ("derived_by", pc.if_else(pa.array(derived), pa.array([*lineage], pa.string()), _kept(out, "derived_by"))),
            ("origin", pc.if_else(pa.array(derived), SYNTHETIC, pc.fill_null(_kept(out, "origin"), REAL))),
        ]
        if self.refused == "mark":
            marks.append(("refused", pa.array([*[None] * n, *[m.reason or None for m in written]], pa.string())))
        for name, values in marks:
            out = set_column(out, name, values)
        return out.take(pa.array(order))

    def _about(self, one: _Text, model: str, rng: Keyed) -> dict[str, Any]:
        """The content of `derived_by`."""
        origin = {"transform": self.name, "version": self.version, "model": model, "prompt": self.form()}
        origin |= {
            "prompt_sha256": hashlib.sha256(one.prompt.encode()).hexdigest(),
            "try": one.number,
            "round": self.round,
        }
        return origin | {"seed": rng.seed, "scores": one.scores}


def _kept(batch: pa.RecordBatch, name: str) -> pa.Array:
    if name in batch.schema.names:
        return texts(batch, name, "generate")
    return pa.nulls(batch.num_rows, pa.string())


class _Text:
    """A text that the model wrote: the place of its parent, the number of the try, its scores, and why it is refused, or ""."""

    __slots__ = ("number", "place", "prompt", "reason", "scores", "text")

    def __init__(self, place: int, number: int, prompt: str, text: str) -> None:
        self.place, self.number, self.prompt, self.text = place, number, prompt, text
        self.reason, self.scores = "", {}  # type: str, dict[str, float | None]


class _Attempts:
    """The texts written so far for the parents in a batch, and the parents that need more."""

    def __init__(self, step: Generate, parents: pa.RecordBatch, rows: list[dict[str, Any]], wanted: np.ndarray) -> None:
        self.wanted = wanted
        self.step, self.rows, self.texts = step, rows, []  # type: Generate, list[dict[str, Any]], list[_Text]
        texts = pc.fill_null(parents.column("text"), "")
        self.distinct = checks.distinct(texts)[0]
        self.sets = _sets(texts)
        self.language = checks.languages(texts) if step.same_language else None
        self.accepted: list[list[np.ndarray]] = [[] for _ in rows]

    def lacking(self) -> np.ndarray:
        return np.array([i for i, a in enumerate(self.accepted) if len(a) < self.wanted[i]], np.int64)

    def judge(self, places: np.ndarray, number: int, asked: list[str], written: list[str]) -> None:
        """Run the checks in order on one try of each row in `places`; a text that fails one is not checked further."""
        step = self.step
        tried = [_Text(int(i), number, p, t) for i, p, t in zip(places, asked, written)]
        open_ = list(tried)

        def refuse(reason: str, passes: np.ndarray, score: str = "", values: np.ndarray | None = None) -> None:
            nonlocal open_
            for i, one in enumerate(open_):
                if values is not None:
                    one.scores[score] = None if np.isnan(values[i]) else round(float(values[i]), 6)
                if not passes[i]:
                    one.reason = reason
            open_ = [one for one in open_ if not one.reason]

        def texts() -> pa.Array:
            return pa.array([one.text for one in open_], pa.string())

        refuse("length", checks.lengths(texts(), step.min_chars, step.max_chars))
        if step.pattern or step.json_keys:
            refuse("schema", checks.schema([one.text for one in open_], step.pattern, step.json_keys))
        share = checks.distinct(texts())[0] / np.maximum(self.distinct[[one.place for one in open_]], 1e-9)
        refuse("repetition", share >= step.min_distinct, "distinct", share)
        if self.language is not None:
            own = checks.languages(texts())
            refuse("language", np.array([a == self.language[one.place] for a, one in zip(own, open_)], np.bool_))
        if step.reference is not None and open_:
            value = checks.bits(*open_model(step.reference).score([one.text for one in open_]))
            refuse("likelihood", (value >= step.min_bits) & (value <= step.max_bits), "bits", value)
        if step.verifier is not None:
            value = checks.scores(step.verifier, [one.text for one in open_], [self.rows[one.place] for one in open_])
            refuse("verifier", value >= step.min_score, "verifier", value)
        sets = dict(zip(map(id, open_), _sets(texts())))
        others = checks.against(step.against) if step.against else None
        value = np.array(
            [
                max(checks.jaccard(sets[id(m)], self.sets[m.place]), others.similarity(sets[id(m)]) if others else 0.0)
                for m in open_
            ]
        )
        refuse("near-real", value < step.max_similarity, "similarity", value)
        for one in open_:
            own = sets[id(one)]
            if any(checks.jaccard(own, other) >= step.max_similarity for other in self.accepted[one.place]):
                one.reason = "near-accepted"
            else:
                self.accepted[one.place].append(own)
        self.texts += tried if step.refused == "mark" else [one for one in tried if not one.reason]


def _sets(texts: pa.Array) -> list[np.ndarray]:
    lists = shingle_sets(texts, checks.NGRAM)
    ends, values = lists.offsets.to_numpy(), lists.values.to_numpy()
    return [values[a:b] for a, b in zip(ends[:-1], ends[1:])]
