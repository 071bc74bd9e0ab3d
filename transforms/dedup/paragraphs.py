"""Paragraphs repeated across the corpus."""

from __future__ import annotations

from typing import ClassVar

from corpusmill.transforms.base import USE_PUBLIC
from corpusmill.transforms.dedup._parts import Parts


class Paragraphs(Parts):
    """Cut paragraphs (runs of lines between blank lines) that occur in several documents; the first `max_copies` keep them.

    Source: paragraph deduplication as in CCNet (Wenzek et al. 2020, section 3.1), exact instead of per chunk: paragraphs
    are equal when their bytes are, white space at the ends aside (128-bit hashes). The blank lines behind a paragraph go
    with it. Within one document a paragraph may repeat. Documents left without text are dropped.
    Raises RecipeError if `keep` needs a column that is absent.

    >>> Paragraphs(max_copies=2).min_words
    8
    """

    name: ClassVar[str] = "paragraphs"
    refusal: ClassVar[tuple[str, str]] = (
        "a paragraph repeated by one unit is cut out of the documents of others",
        f"leave it out; or {USE_PUBLIC}",
    )
    blocks: ClassVar[bool] = True
