"""Drops the texts that `generate` marked as refused, each with its reason in the ledger."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa

from corpusmill.transforms.base import Filter, Stability, Verdict
from corpusmill.transforms.generate.checks import REASONS
from corpusmill.transforms.random import Keyed


class Accepted(Filter):
    """Keeps what no check of `generate: {refused: mark}` refused.

    Source: corpusmill. Reasons are those of `corpusmill.transforms.generate.checks`; a document without a mark is kept.

    >>> batch = pa.record_batch({"id": ["a", "b"], "text": ["x", "y"], "source": ["s", "s"], "refused": [None, "length"]})
    >>> Accepted()(batch).column("id").to_pylist()
    ['a']
    """

    name: ClassVar[str] = "accepted"
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = "record"

    def judge(self, batch: pa.RecordBatch, rng: Keyed) -> Verdict:
        n = batch.num_rows
        if "refused" not in batch.schema.names:
            return Verdict(REASONS, np.full(n, -1, np.int16), np.full(n, np.nan))
        place = {reason: i for i, reason in enumerate(REASONS)}
        codes = np.array([place.get(r, -1) for r in batch.column("refused").to_pylist()], np.int16).reshape(n)
        return Verdict(REASONS, codes, np.full(n, np.nan))
