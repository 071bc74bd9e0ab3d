"""A random sample of the documents."""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa
from pydantic import Field

from corpusmill.transforms.base import Filter, Stability, Verdict
from corpusmill.transforms.filters.rules import Rules
from corpusmill.transforms.random import Keyed, uniform_array


class Sample(Filter):
    """Keep each document with probability `fraction`, decided by its id.

    A document is kept if the uniform draw in [0, 1) of (recipe seed, step name, id) is below `fraction`
    (`corpusmill.transforms.random`): whether it is in the sample depends on no other document, shard or order, and the sample of a
    smaller fraction is a part of the sample of a larger one.

    >>> batch = pa.record_batch({"id": [str(i) for i in range(1000)], "text": ["x"] * 1000})
    >>> tenth, half = (set(Sample(fraction=f)(batch).column("id").to_pylist()) for f in (0.1, 0.5))
    >>> 70 < len(tenth) < 130 and tenth < half
    True
    """

    name: ClassVar[str] = "sample"
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = "record"
    example: ClassVar[str] = "{fraction: 0.1}"
    advice: ClassVar[str | None] = None  # it drops what `fraction` says

    fraction: float = Field(ge=0, le=1, description="probability with which a document is kept")

    def libraries(self) -> tuple[str, ...]:
        return ()

    def judge(self, batch: pa.RecordBatch, rng: Keyed) -> Verdict:
        """Score: draw."""
        draw = uniform_array(rng.keys(batch))
        rules = Rules(len(batch))
        rules.scores["draw"] = draw
        rules.broken("fraction", draw >= self.fraction, draw)
        return rules.verdict()
