"""A filter of the user's own."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from corpusmill.transforms.base import Filter, Stability, Verdict
from corpusmill.transforms.contract import shown
from corpusmill.transforms.errors import CorpusmillError, RecipeError
from corpusmill.transforms.filters.rules import Rules
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.user_functions import CallsFunction


class UserFilter(CallsFunction, Filter):
    """Drop documents by a Python function of your own, named as `package.module:function`.

    The function takes a record batch, and `options` as keyword arguments, and returns one value a row: bool (True is
    kept), or a number to compare with `min_score` and `max_score`; an Arrow or numpy array or a list. It must depend on
    nothing but the batch and its options, or the promise of equal bytes is void. The module's file is part of the
    fingerprint, so that an edited function runs again. Null and nan are kept.

    >>> import corpusmill.transforms.filters.filter as here
    >>> here.long_enough = lambda batch, least: [len(t) >= least for t in batch.column("text").to_pylist()]
    >>> f = UserFilter(call="corpusmill.transforms.filters.filter:long_enough", options={"least": 3})
    >>> f(pa.record_batch({"id": ["a", "b"], "text": ["no", "yes"]})).column("id").to_pylist()
    ['b']
    """

    name: ClassVar[str] = "filter"
    version: ClassVar[int] = 1
    example: ClassVar[str] = "{call: 'own_functions:not_short', options: {least: 30}}"
    # what the function reaches is not known: in a private run it counts as the worst
    stability: ClassVar[Stability] = "cross"
    refusal: ClassVar[tuple[str, str]] = (
        "a rule of your own may look at other documents",
        'say in its class how far it reaches: `stability = "record"` if it looks at one document at a time',
    )

    min_score: float | None = Field(None, description="documents with a lower score are dropped")
    max_score: float | None = Field(None, description="documents with a higher score are dropped")

    def values(self, batch: pa.RecordBatch) -> Any:
        """What the function returns for a batch: one value a row."""
        return self.function()(batch, **self.options)

    def judge(self, batch: pa.RecordBatch, rng: Keyed) -> Verdict:
        """Score: score."""
        try:
            answer = self.values(batch)
        except (CorpusmillError, OSError, MemoryError):
            raise
        except Exception as error:
            raise self.wrong(
                f"raised {type(error).__name__}: {error}", "mend it, and run the same command again", error
            ) from error
        wanted = "it must return true or false, or a number, for each document of the batch"
        values = answer.combine_chunks() if isinstance(answer, pa.ChunkedArray) else answer
        try:
            values = values if isinstance(values, pa.Array) else pa.array(values)
        except (pa.ArrowException, TypeError, ValueError):
            raise self.wrong(f"returned {shown(answer)}", wanted) from None
        if len(values) != len(batch):
            raise self.wrong(f"returned {len(values)} values for {len(batch)} documents", wanted)
        rules = Rules(len(batch))
        if pa.types.is_boolean(values.type):
            if self.min_score is not None or self.max_score is not None:
                raise RecipeError(f"filter: {self.call} returns true or false: leave min_score and max_score out.")
            kept = values.fill_null(True).to_numpy(zero_copy_only=False)
            rules.scores["score"] = kept.astype(np.float64)
            rules.broken("false", ~kept, rules.scores["score"])
            return rules.verdict()
        if len(batch) and self.min_score is None and self.max_score is None:
            raise RecipeError(
                f"filter: {self.call} returns {values.type}: set min_score or max_score, or return booleans."
            )
        try:
            score = values.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise RecipeError(f"filter: {self.call} returns {values.type}: return booleans or numbers.") from error
        rules.check("min_score", score, self.min_score)
        rules.check("max_score", score, self.max_score)
        return rules.verdict()
