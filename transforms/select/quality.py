"""Scores documents with trained classifiers."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import model_validator

from corpusmill.transforms.arrow import set_column
from corpusmill.transforms.base import Filter, Stability, Verdict
from corpusmill.transforms.filters.rules import Rules
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.select._quality_fields import QualityFields
from corpusmill.transforms.select._quality_learned import LearnedQuality
from corpusmill.transforms.select._quality_ranked import RankedQuality


class Quality(QualityFields, Filter):
    """Writes the probability that a document is of a label to a column, and drops documents by it.

    Source: learned quality filters as in DCLM (Li et al. 2024, arXiv 2406.11794, section 4.4): a classifier over n-grams, trained
    on documents to be like and documents to be unlike. There are three ways to say which.

    - `model`: a scorer of `corpusmill scorer train`, a fastText model, or a classifier. With `min_score` the step is a filter in
      the pass that reads the documents anyway.
    - `model` with `keep`: an exact share (or budget) of the documents stays, overall or of each group, as Nemotron-CC (Su et
      al. 2024, arXiv 2412.02595) and CCNet (Wenzek et al. 2020) cut by language. Documents are ordered by log odds, which tell
      those apart whose probability is 1; among equal ones, a draw keyed by (`seed`, id) decides.
      An ensemble combined by ranks is scored in the same way, whatever its limit.
    - `like` and `unlike`: a scorer is learnt in the run. Documents of both kinds are sampled by hash; their n-gram counts travel
      to one task, the documents do not. Documents of the `like` sources stay, and count in no share.

    The score is calibrated on held-out documents where the scorer was trained here, and rounded to six decimals. Documents
    without words get the score of an empty text. Reasons: `min_score`, `below-top`, with the score as the value. Side tables:
    `quality`, with the percentiles of each group; `scorer`, with the card of a scorer that was learnt.

    A group keeps 60 bytes a document in one task. A refresh decides anew, and learns anew where its sample has changed.

    Raises:
        BadFileError: `model` is damaged, or is no scorer.
        RecipeError: the scorer has no such label; there is nothing to learn from; all scores are equal; a score is no number.

    >>> Quality(model="scorer.safetensors", min_score=0.5).column
    'quality'
    """

    name: ClassVar[str] = "quality"
    stability: ClassVar[Stability] = "record"
    example: ClassVar[str] = "{model: quality.bin, min_score: 0.5}"

    @model_validator(mode="after")
    def _of_its_kind(self) -> Any:
        """Another class where the fields ask for decisions about several documents at once."""
        kind = LearnedQuality if self.like else RankedQuality if self.ranked else None
        return self if kind is None else kind.model_validate(self.model_dump())

    def judge(self, batch: pa.RecordBatch, rng: Keyed) -> Verdict:
        """Score: score, the probability of the label."""
        every, _ = self.scores_of(batch)
        score = np.round(every.max(axis=1) if self.combine == "max" else every.mean(axis=1), 6)
        rules = Rules(batch.num_rows)
        rules.check("min_score", score, self.min_score or None)
        return rules.verdict(set_column(batch, self.column, pa.array(score, pa.float64())))
