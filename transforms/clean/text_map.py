"""An edit by a function of the user's own on one text at a time."""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa

from corpusmill.transforms.arrow import set_column
from corpusmill.transforms.base import Map, Stability
from corpusmill.transforms.filters.filter import UserFilter
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.user_functions import CallsOnTexts


class TextMap(CallsOnTexts, Map):
    """Replace each text by what a Python function makes of it: `text -> text`. A recipe names the function alone:

        - my_edits:without_signature

    The function must depend on nothing but the text and its options. It sees one Python string at a time. A null text stays.

    >>> import corpusmill.transforms.clean.text_map as here
    >>> here.shout = lambda text, mark: text.upper() + mark
    >>> TextMap(call="corpusmill.transforms.clean.text_map:shout", options={"mark": "!"})(["hello"])
    ['HELLO!']
    """

    name: ClassVar[str] = "text-map"
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = UserFilter.stability
    example: ClassVar[str] = "{call: 'own_functions:without_likes'}"
    refusal: ClassVar[tuple[str, str]] = UserFilter.refusal

    def map(self, batch: pa.RecordBatch, rng: Keyed) -> pa.RecordBatch:
        """The batch with edited texts."""
        return set_column(batch, "text", pa.array(self.answers(batch, (str,), "a text"), pa.string()))
