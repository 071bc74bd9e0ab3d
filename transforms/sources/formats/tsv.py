"""Tab-separated values: CSV with tabs, by the rules of `csv`."""

from __future__ import annotations

from typing import ClassVar

from corpusmill.transforms.sources.formats.csv import Csv


class Tsv(Csv):
    """Tab-separated values."""

    name = "tsv"
    extensions = (".tsv", ".tab")
    delimiter: ClassVar[str | None] = "\t"
