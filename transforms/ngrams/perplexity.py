"""Scores documents by how well an n-gram model predicts them."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, model_validator

from corpusmill.transforms.arrow import empty_batch, set_column
from corpusmill.transforms.base import Applied, Decided
from corpusmill.transforms.columns import labels
from corpusmill.transforms.hashing import hash64
from corpusmill.transforms.ngrams._learning import NgramGroup, added

BUCKETS = ("head", "middle", "tail")
PERCENTILES = (5, 10, 25, 30, 50, 60, 75, 90, 95)
NO_MODEL = -2
"""Symbols of a document that no model is for."""
_SENT = pa.schema(
    [
        ("key", pa.uint64()),
        ("row", pa.uint32()),
        ("group", pa.string()),
        ("value", pa.float64()),
        ("symbols", pa.int64()),
    ]
)
_DECISIONS = pa.schema(
    [
        ("shard", pa.uint32()),
        ("row", pa.uint32()),
        ("value", pa.float64()),
        ("bucket", pa.int8()),
        ("symbols", pa.int64()),
    ]
)
_TABLE = pa.schema(
    [
        ("group", pa.string()),
        ("documents", pa.int64()),
        ("scored", pa.int64()),
        *((f"p{p}", pa.float64()) for p in PERCENTILES),
    ]
)


class Keep(BaseModel):
    """Which documents `perplexity` keeps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bucket: tuple[Literal["head", "middle", "tail"], ...] | None = Field(
        None, min_length=1, description="Buckets to keep: head, middle, tail."
    )
    min: float | None = Field(None, ge=1, description="Documents of a lower perplexity are dropped.")
    max: float | None = Field(None, ge=1, description="Documents of a higher perplexity are dropped.")


class Perplexity(NgramGroup):
    """Writes the perplexity of each document under an n-gram model, and keeps buckets of it, or what lies between bounds.

    Source: CCNet (Wenzek et al. 2020, section 4): documents that a model of clean text finds likely are the `head`, then come
    `middle` and `tail`, cut at two quantiles of each language. The model is modified Kneser-Ney (Chen and Goodman 1998). It is
    learned in the run, from a file (`like`) or from one source of the recipe (`like_source`, whose documents all stay and are not
    scored); or it is a file (`model`) of `corpusmill perplexity train`, or an ARPA file of KenLM or SRILM. With a model for each
    language, `by` names the column that chooses.

    Perplexity: exp(-log p / (n + 1)) of a document of n symbols and its end. Symbols are lower-cased words by default, or tokens
    of a `tokenizer`. Columns: `perplexity` float64, and `perplexity_bucket`; both null where a document has no symbols or no
    model. Quantiles are exact, over all documents; documents of equal perplexity are in one bucket. The side table `perplexity` has
    percentiles by the values of `by`. A refresh computes quantiles, and what is learned, anew.

    Dropped, with the perplexity as value: `bucket-head`, `bucket-middle`, `bucket-tail`, `min_perplexity`, `max_perplexity`; and
    where `keep` is given, documents without symbols: `no-text`, and those of a language without a model: `no-model`.

    Cost: one more pass over the text; with a learned model two, and about 24 bytes travel for each n-gram of a batch that is
    learned from. `memory` bounds the learning.

    Raises:
        BadFileError: `model` is damaged, or of another format. RecipeError: there is nothing to learn from.

    >>> Perplexity(model="wiki.safetensors", by="lang", keep={"bucket": ["head", "middle"]}).keep.bucket
    ('head', 'middle')
    """

    name: ClassVar[str] = "perplexity"
    version: ClassVar[int] = 1
    example: ClassVar[str] = "{like: books.parquet, by: lang, keep: {bucket: [head, middle]}}"
    refusal: ClassVar[tuple[str, str]] = (
        "quantiles, and a learned model, follow from the documents of all units",
        "leave it out; or run it on public data in a recipe of its own",
    )

    model: str | dict[str, str] | None = Field(
        None,
        description="File of a model; or one for each value of `by`, `{en: en.safetensors, '*': other.safetensors}`.",
    )
    by: str | None = Field(None, min_length=1, description="Column, as lang, whose values have quantiles of their own.")
    keep: Keep | None = Field(None, description="What to keep; all of it by default.")
    head: float = Field(0.3, gt=0, lt=1, description="Quantile up to which documents are the head.")
    middle: float = Field(0.6, gt=0, le=1, description="Quantile up to which documents are the middle.")
    column: str = Field(
        "perplexity", min_length=1, description="Column of the score; `<column>_bucket` has the bucket."
    )

    @model_validator(mode="after")
    def _fits(self) -> Perplexity:
        if self.head >= self.middle:
            raise ValueError("`head` is a quantile below `middle`")
        if isinstance(self.model, dict) and self.by is None:
            raise ValueError("`model` names several files; name the column that chooses among them with `by`")
        if isinstance(self.model, dict) and not self.model:
            raise ValueError("`model` names no file")
        return self

    def models(self) -> dict[str, str]:
        if self.model is None:
            return {}
        return dict(self.model) if isinstance(self.model, dict) else {"": self.model}

    def scores(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        chosen = self.pool(batch)
        batch, rows = batch.filter(pa.array(chosen)), rows[chosen]
        if not batch.num_rows:
            return empty_batch(_SENT)
        groups = pa.array([""] * batch.num_rows, pa.string())
        if self.by is not None:
            groups = labels(batch, self.by, "perplexity.by").fill_null("")
        values, symbols = np.full(batch.num_rows, np.nan), np.full(batch.num_rows, NO_MODEL, np.int64)
        for at, model in self._shared_out(groups, self.model_of(decisions)):
            log_p, n = self.logs(batch.take(pa.array(at)), model, "perplexity")
            values[at] = np.where(n > 0, np.exp(-log_p / (n + 1)), np.nan)
            symbols[at] = n
        return added([hash64(groups), rows.astype(np.uint32), groups, values, symbols], _SENT)

    def _shared_out(self, groups: pa.Array, models: dict[str, Any]) -> list[tuple[np.ndarray, Any]]:
        """(positions of the documents, the model for them)."""
        if set(models) == {""}:
            return [(np.arange(len(groups)), models[""])]
        names = np.array(groups.to_pylist(), object)
        found = [(np.flatnonzero(names == name), model) for name, model in models.items() if name != "*"]
        if "*" in models:
            found.append((np.flatnonzero(~np.isin(names, [n for n in models if n != "*"])), models["*"]))
        return [(at, model) for at, model in found if len(at)]

    def decide_scores(self, keys: pa.Table) -> Decided:
        if not keys.num_rows:
            return Decided(_DECISIONS.empty_table(), {"perplexity": _TABLE.empty_table()})
        value = keys["value"].to_numpy()
        groups = np.array(keys["group"].to_pylist(), object)
        bucket = np.full(len(value), -1, np.int8)
        lines = []
        for group in sorted(set(groups.tolist())):
            mine = np.flatnonzero(groups == group)
            scored = mine[~np.isnan(value[mine])]
            ordered = np.sort(value[scored])
            if len(ordered):
                below = np.searchsorted(ordered, value[scored]) / len(ordered)
                bucket[scored] = np.where(below < self.head, 0, np.where(below < self.middle, 1, 2))
            at = [
                ordered[min(len(ordered) * p // 100, len(ordered) - 1)] if len(ordered) else None for p in PERCENTILES
            ]
            lines.append([group, len(mine), len(scored), *at])
        table = pa.table(
            [pa.array(c, f.type) for c, f in zip(zip(*lines, strict=True), _TABLE, strict=True)], schema=_TABLE
        )
        columns = [keys["shard"], keys["row"], keys["value"], pa.array(bucket), keys["symbols"]]
        return Decided(pa.table(columns, schema=_DECISIONS), {"perplexity": table})

    def apply(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table) -> Applied:
        n = batch.num_rows
        value, bucket, symbols = np.full(n, np.nan), np.full(n, -1, np.int64), np.full(n, -1, np.int64)
        at = np.searchsorted(rows, decisions["row"].to_numpy())
        for target, name in ((value, "value"), (bucket, "bucket"), (symbols, "symbols")):
            target[at] = decisions[name].to_numpy()
        batch = set_column(batch, self.column, pa.array(value, pa.float64(), mask=np.isnan(value)))
        names = pa.DictionaryArray.from_arrays(pa.array(bucket, pa.int32(), mask=bucket < 0), pa.array(BUCKETS))
        batch = set_column(batch, f"{self.column}_bucket", names.dictionary_decode())
        reasons = self._reasons(value, bucket, symbols)
        dropped = np.flatnonzero(reasons != "")
        return Applied.without(batch, dropped, reasons[dropped].tolist(), value[dropped].tolist())

    def _reasons(self, value: np.ndarray, bucket: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        """Why each document is dropped, "" for those that stay: objects [n]."""
        reasons = np.full(len(value), "", object)
        if self.keep is None:
            return reasons
        if self.keep.max is not None:
            reasons[value > self.keep.max] = "max_perplexity"
        if self.keep.min is not None:
            reasons[value < self.keep.min] = "min_perplexity"
        for number, name in enumerate(BUCKETS):
            if self.keep.bucket is not None and name not in self.keep.bucket:
                reasons[bucket == number] = f"bucket-{name}"
        reasons[symbols == 0] = "no-text"
        reasons[symbols == NO_MODEL] = "no-model"
        return reasons
