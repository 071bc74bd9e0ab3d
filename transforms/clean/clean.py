"""The step `clean`."""

from __future__ import annotations

from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from corpusmill.transforms.arrow import set_column
from corpusmill.transforms.base import Map, Stability
from corpusmill.transforms.clean.html import strip_html
from corpusmill.transforms.clean.markdown import strip_markdown
from corpusmill.transforms.clean.mojibake import repair
from corpusmill.transforms.clean.whitespace import tidy
from corpusmill.transforms.normal_forms import normalize
from corpusmill.transforms.random import Keyed


class Clean(Map):
    """Repair the encoding, strip markup, and bring characters, control characters and white space into one form.

    In this order: mojibake (`corpusmill.transforms.clean.mojibake`), markup (`html`, `markdown`), control characters and
    white space (`whitespace`), Unicode form (`corpusmill.transforms.normal_forms`). A text that needs nothing passes through
    untouched. Cleaning twice
    changes nothing, unless the result looks like markup or mojibake again.

    >>> batch = pa.record_batch({"id": ["a"], "text": ["cafe\\u0301  \\r\\n\\r\\n\\r\\n\\r\\n\\r\\nschÃ¶n\\x07"]})
    >>> Clean()(batch).column("text").to_pylist()
    ['café\\n\\n\\nschön']
    """

    name: ClassVar[str] = "clean"
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = "record"

    unicode: Literal["NFC", "NFKC", "none"] = Field(
        "NFC", description="Unicode normal form; NFKC also unifies look-alikes"
    )
    mojibake: bool = Field(True, description="undo decoding with the wrong character set, by ftfy")
    markup: Literal["none", "markdown", "html"] = Field("none", description="markup to strip; html needs resiliparse")
    control: bool = Field(True, description="remove control characters and byte order marks")
    whitespace: bool = Field(True, description="one kind of line end, no trailing white space, few blank lines")
    collapse_spaces: bool = Field(False, description="also one space for many, and no indentation (bad for code)")
    max_blank_lines: int = Field(2, ge=0, description="blank lines in a row that `whitespace` leaves")

    def libraries(self) -> tuple[str, ...]:
        """Unicode's tables, ftfy and resiliparse, as far as the fields ask for them."""
        return ("unicode", *["ftfy"] * self.mojibake, *["resiliparse"] * (self.markup == "html"))

    def map(self, batch: pa.RecordBatch, rng: Keyed) -> pa.RecordBatch:
        before = text = batch.column("text")
        if self.mojibake:
            text = repair(text)
        if self.markup == "html":
            text = strip_html(text)
        elif self.markup == "markdown":
            text = strip_markdown(text)
        # control characters go first: one may stand between a letter and its combining mark; NFKC can make new white
        # space, so lines are tidied once more
        text = self._tidy(text)
        if self.unicode != "none":
            composed = normalize(text, self.unicode)
            text = self._tidy(composed) if self.unicode == "NFKC" and composed is not text else composed
        return batch if text is before else set_column(batch, "text", text)

    def _tidy(self, text: pa.Array) -> pa.Array:
        if not (self.control or self.whitespace):
            return text
        return tidy(text, self.control, self.whitespace, self.collapse_spaces, self.max_blank_lines)
