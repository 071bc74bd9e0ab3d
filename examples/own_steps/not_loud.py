"""A step of your own. A recipe in this folder uses it as `- not_loud:NotLoud` or `- not_loud:NotLoud: {max_share: 0.5}`.

A function of one text serves as a step, too: `def keep(text: str) -> bool`, `def score(text: str) -> float` or
`def edit(text: str) -> str`, used as `- not_loud:keep`. A class sees a whole batch at a time, which is faster.
"""

from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from corpusmill.transforms.base import Filter, Stability, Verdict
from corpusmill.transforms.filters.rules import Rules
from corpusmill.transforms.random import Keyed


class NotLoud(Filter):
    """Drop documents that are mostly upper-case letters."""

    name: ClassVar[str] = "not-loud"
    version: ClassVar[int] = 1  # raise it with every change that changes results, so that finished work is done again
    stability: ClassVar[Stability] = "record"  # it looks at one document at a time

    max_share: float = Field(0.3, ge=0, le=1, description="largest share of characters that are upper-case letters")

    def judge(self, batch: pa.RecordBatch, rng: Keyed) -> Verdict:
        """Which documents are dropped, and the share that dropped them."""
        texts = batch.column("text")
        characters = pc.utf8_length(texts)
        others = pc.utf8_length(pc.replace_substring_regex(texts, r"\p{Lu}", ""))
        share = pc.divide(pc.subtract(characters, others).cast(pa.float64()), pc.max_element_wise(characters, 1))
        rules = Rules(batch.num_rows)
        rules.check("max_share", share.to_numpy(zero_copy_only=False), self.max_share)
        return rules.verdict()
