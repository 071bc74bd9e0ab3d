"""Scores documents with a trained classifier."""

from __future__ import annotations

import functools
from typing import ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from corpusmill.transforms.arrow import set_column
from corpusmill.transforms.base import Filter, Stability, Verdict
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.filters.rules import Rules
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.select._linear import Scorer, open_scorer


class Quality(Filter):
    """Writes the probability that a document is of a scorer's label to a column, and drops documents below a threshold.

    Source: learned quality filters as in DCLM (Li et al. 2024, arXiv 2406.11794, section 4.4): a linear classifier over word
    n-grams, trained on documents to be like and documents to be unlike. `corpusmill scorer train` makes the scorer. Use the
    step `top` behind this one to keep a share of the documents in place of a threshold.

    The score is the calibrated probability of `label`, rounded to six decimals. Documents without words get the score of an
    empty text.

    Raises:
        BadFileError: `model` is no scorer.
        RecipeError: the scorer has no such label.

    >>> Quality(model="scorer.safetensors", min_score=0.5).column
    'quality'
    """

    name: ClassVar[str] = "quality"
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = "record"
    example: ClassVar[str] = "{model: quality.bin, min_score: 0.5}"

    model: str = Field(min_length=1, description="scorer file, as `corpusmill scorer train` writes it")
    label: str | None = Field(
        None, description="label whose probability is the score; by default the scorer's first one"
    )
    column: str = Field("quality", min_length=1, description="column that the score is written to")
    min_score: float = Field(0.0, ge=0, le=1, description="documents with a lower score are dropped")

    def files(self) -> list[str]:
        return [self.model]

    def judge(self, batch: pa.RecordBatch, rng: Keyed) -> Verdict:
        """Score: score, the probability of the label."""
        scorer = _opened(self.model, self.fingerprint())
        at = self._label(scorer)
        score = np.round(scorer.probabilities(batch.column("text"))[:, at], 6)
        rules = Rules(batch.num_rows)
        rules.check("min_score", score, self.min_score or None)
        return rules.verdict(set_column(batch, self.column, pa.array(score, pa.float64())))

    def _label(self, scorer: Scorer) -> int:
        if self.label is None:
            return 0
        if self.label not in scorer.labels:
            raise RecipeError(
                f"quality.label: the scorer {self.model} has no label `{self.label}`; it has {', '.join(scorer.labels[:20])}"
            )
        return scorer.labels.index(self.label)


@functools.lru_cache(4)
def _opened(path: str, digest: str) -> Scorer:
    """The scorer of a file; `digest` keeps a changed file from being taken for the one that was read before."""
    return open_scorer(path)
