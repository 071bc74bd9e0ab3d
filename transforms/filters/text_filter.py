"""A filter that calls a function of the user's own on one text at a time."""

from __future__ import annotations

from typing import Any, ClassVar

import pyarrow as pa

from corpusmill.transforms.filters.filter import UserFilter
from corpusmill.transforms.user_functions import CallsOnTexts


class TextFilter(CallsOnTexts, UserFilter):
    """Drop documents by a Python function of one text: `text -> bool` (True is kept) or `text -> float`, a score to compare with
    `min_score` and `max_score`. A recipe names the function alone:

        - my_filters:no_ads
        - my_filters:density: {min_score: 0.2}

    The function must depend on nothing but the text and its options. It sees one Python string at a time, at perhaps a tenth
    of the speed of a function of a batch (the step `filter`). A null text is kept.

    >>> import corpusmill.transforms.filters.text_filter as here
    >>> here.short = lambda text: len(text) < 9
    >>> TextFilter(call="corpusmill.transforms.filters.text_filter:short")(["a short one", "short"])
    ['short']
    """

    name: ClassVar[str] = "text-filter"
    version: ClassVar[int] = 1
    example: ClassVar[str] = "{call: 'own_functions:letters', min_score: 0.5}"

    def values(self, batch: pa.RecordBatch) -> Any:
        """One value a text."""
        answers = self.answers(batch, (bool, int, float), "true or false, or a number")
        scored = self.min_score is not None or self.max_score is not None
        for answer in answers:
            if isinstance(answer, bool) is scored and answer is not None:
                raise self.wrong(
                    f"returned {answer!r}",
                    "leave `min_score` and `max_score` out, or return a number"
                    if scored
                    else "set `min_score` or `max_score`, or return true or false",
                )
        return pa.array(answers, pa.float64() if scored else pa.bool_())
