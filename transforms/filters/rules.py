"""From measured values and limits to a verdict.

A rule is named after its field, and the field's name says the direction: `min_words: 50` drops rows whose `words` is below
50, `max_symbol_ratio: 0.1` rows whose `symbol_ratio` is above 0.1. The name of the score is the rule's without its first
part. A value equal to its limit is kept, and nan breaks no rule. A row is charged to the first rule that it breaks, in
the order in which they are checked.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from corpusmill.transforms.base import Verdict


class Rules:
    """The rules of one filter over one batch of n rows, gathered one after another.

    >>> rules = Rules(3)
    >>> rules.check("min_words", np.array([10, 60, 70]), 50)
    >>> rules.check("max_symbol_ratio", np.array([0.5, 0.5, 0.0]), 0.1)
    >>> verdict = rules.verdict()
    >>> verdict.codes.tolist(), verdict.reasons
    ([0, 1, -1], ('min_words', 'max_symbol_ratio'))
    """

    def __init__(self, n: int) -> None:
        self.codes = np.full(n, -1, np.int16)
        self.values = np.full(n, np.nan)
        self.reasons: list[str] = []
        self.scores: dict[str, np.ndarray] = {}

    def check(self, name: str, score: np.ndarray, limit: float | None, where: np.ndarray | None = None) -> None:
        """Rule `min_X` or `max_X`; `limit` None switches it off (the score is still kept), `where` bool [n] restricts it:
        the score of the other rows is nan."""
        self.scores[name[4:]] = score if where is None else np.where(where, score, np.nan)
        if limit is None:
            return
        self.broken(name, score < limit if name.startswith("min_") else score > limit, score, where)

    def broken(self, name: str, rows: np.ndarray, value: np.ndarray, where: np.ndarray | None = None) -> None:
        """Rule `name` is broken by `rows` (bool [n]), with `value` [n] as the evidence."""
        rows = rows & (self.codes < 0)
        if where is not None:
            rows &= where
        self.codes[rows] = len(self.reasons)
        self.values[rows] = value[rows]
        self.reasons.append(name)

    def verdict(self, batch: pa.RecordBatch | None = None) -> Verdict:
        """What the rules say; `batch` is the edited batch of a filter that edits."""
        return Verdict(tuple(self.reasons), self.codes, self.values, self.scores, batch)


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole as float64, 0 where there is nothing to divide by."""
    return np.divide(part, whole, out=np.zeros(len(part), np.float64), where=whole != 0)
