"""The fields of the step `quality`, and which class does what they ask."""

from __future__ import annotations

import os
from typing import ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from corpusmill.transforms.base import Transform
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.select._linear import FILE
from corpusmill.transforms.select._scorers import digest, is_handled, scored
from corpusmill.transforms.sources.formats import by_extension


class Keep(BaseModel):
    """How much the step `quality` keeps: an exact share of the documents, of all or of each group."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    top: float | None = Field(None, gt=0, le=1, description="share with the highest scores that is kept, exactly")
    budget: int | None = Field(None, ge=1, description="instead of `top`: how much is kept at most")
    unit: Literal["documents", "bytes"] = Field(
        "documents", description="what `top` and `budget` count: documents, or bytes of text"
    )
    by: str | None = Field(
        None,
        min_length=1,
        description="column whose values are groups; each keeps its own share, as `lang` or `source`",
    )

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if (self.top is None) == (self.budget is None):
            raise ValueError("say how much to keep, either by `top` or by `budget`")
        return self

    def of(self, sizes: np.ndarray) -> int:
        """How many of the documents, the best of which comes first, are kept. sizes: int64 [n], bytes of each."""
        counted = np.cumsum(np.ones(len(sizes), np.int64) if self.unit == "documents" else sizes)
        total = int(counted[-1]) if len(counted) else 0
        limit = self.budget if self.budget is not None else round((self.top or 0) * total)
        return int(np.searchsorted(counted, limit, "right"))


class QualityFields(Transform):
    """What a recipe says under `quality`."""

    name: ClassVar[str] = "quality"
    version: ClassVar[int] = 1
    specifications: ClassVar[tuple[str, ...]] = ("model",)

    model: str | tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="scorer file or `folder/`, as `corpusmill scorer train` writes it; a supervised fastText model (.bin, .ftz); "
        "or a classifier such as `hf-classifier:FOLDER`. Several are an ensemble",
    )
    like: tuple[str, ...] = Field(
        (), description="instead of `model`: sources of this recipe, or files, whose documents are to be found"
    )
    unlike: tuple[str, ...] = Field((), description="sources or files whose documents are the opposite")
    label: str | None = Field(None, description="label whose probability is the score; by default a scorer's first one")
    column: str = Field("quality", min_length=1, description="column that the score is written to")
    min_score: float = Field(0.0, ge=0, description="documents with a lower score are dropped")
    keep: Keep | None = Field(None, description="keep an exact share instead: `{top: 0.4}`, or `{top: 0.4, by: lang}`")
    combine: Literal["max", "mean", "max-rank", "mean-rank"] = Field(
        "max",
        description="score of an ensemble: highest or mean probability, or highest or mean of the ranks, from 0 to 1, which "
        "needs no common scale",
    )
    sample: int = Field(
        20_000,
        ge=20,
        le=10_000_000,
        description="documents of `like`, and of `unlike`, that are learnt from, drawn by hash",
    )
    ngram: int = Field(2, ge=1, le=5, description="longest n-gram, in words, that is learnt")
    buckets: int = Field(1 << 20, ge=2, le=1 << 26, description="hash buckets for the n-grams that are learnt")
    evaluation: tuple[str, ...] = Field(
        (), description="evaluation sets; a learnt-from document that shares 13 words in a row with an item is an error"
    )
    seed: int = Field(1, ge=0, description="seed of the sample, and of the order among equal scores")

    @field_validator("model")
    @classmethod
    def _in_folder(cls, model: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        names = (model,) if isinstance(model, str) else model
        if names is None:
            return None
        out = tuple(n + FILE if n.endswith("/") and not is_handled(n) else n for n in names)
        return out[0] if isinstance(model, str) else out

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.model is None) == (not self.like):
            raise ValueError(
                "name a scorer, `model`, or what to learn one from: `like` and `unlike`"
                if self.model is None
                else "`model` and `like` exclude each other; leave one out"
            )
        if bool(self.like) != bool(self.unlike):
            raise ValueError("a scorer is learnt from two kinds of documents; give both `like` and `unlike`")
        if both := sorted({*self.like} & {*self.unlike}):
            raise ValueError(f"`{both[0]}` stands under `like` and under `unlike`; it can be one of them")
        if self.keep is not None and self.min_score:
            raise ValueError("`keep` and `min_score` exclude each other; leave one out")
        if self.like and self.label is not None:
            raise ValueError("a scorer that is learnt here has the labels like and unlike; leave `label` out")
        return self

    @property
    def models(self) -> tuple[str, ...]:
        """The scorers of `model`."""
        return (self.model,) if isinstance(self.model, str) else self.model or ()

    @property
    def ranked(self) -> bool:
        """Whether a document's verdict depends on the scores of others."""
        return self.keep is not None or (self.combine.endswith("rank") and len(self.models) > 1)

    def files(self) -> list[str]:
        named = [n for n in (*self.like, *self.unlike) if is_file(n)]
        return [*(m for m in self.models if not is_handled(m)), *named, *self.evaluation]

    def named_sources(self) -> list[tuple[str, str]]:
        """(field, source) of each source of the recipe that is named."""
        kinds = (("like", self.like), ("unlike", self.unlike))
        return [(field, name) for field, names in kinds for name in names if not is_file(name)]

    def fingerprint(self) -> str:
        """As for any step, with digests of models behind handlers."""
        handled = {m: digest(m) for m in self.models if is_handled(m)}
        model = tuple(handled.get(m, m) for m in self.models) or None
        plain = self.model_copy(update={"model": model[0] if model and isinstance(self.model, str) else model})
        return Transform.fingerprint(plain) if handled else Transform.fingerprint(self)

    def resolved(self, folder: str) -> Self:
        """With the paths of files and of local models taken from `folder`."""
        out = super().resolved(folder)
        names = tuple(_at(folder, m) for m in out.models)
        if not names:
            return out
        return out.model_copy(update={"model": names[0] if isinstance(out.model, str) else names})

    def scores_of(self, batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
        """(probabilities, log odds) of each document by each of `models`: float64 [n, models] each.

        Raises:
            RecipeError: a score is no number.
        """
        found = [scored(m, self.label, batch.column("text")) for m in self.models]
        chances, odds = (np.stack([f[side] for f in found], axis=1) for side in (0, 1))
        if not np.isfinite(odds).all():
            row, which = (int(v[0]) for v in np.nonzero(~np.isfinite(odds)))
            raise RecipeError(
                f"quality: {self.models[which]} gives the document {batch.column('id')[row]} a score that is no number; mend "
                "the model, or drop the document before"
            )
        return chances, odds


def _at(folder: str, spec: str) -> str:
    if not is_handled(spec):
        return spec
    scheme, _, rest = spec.partition(":")
    path = os.path.join(folder, os.path.expanduser(rest))
    return f"{scheme}:{path}" if os.path.exists(path) else spec


def is_file(name: str) -> bool:
    """Whether an entry of `like` or `unlike` names a file, and no source: it has a slash or the ending of a source format."""
    return "/" in name or by_extension(name) is not None
