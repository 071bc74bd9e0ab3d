"""Lines repeated across the corpus: navigation, disclaimers, licence headers."""

from __future__ import annotations

from typing import ClassVar

from corpusmill.transforms.base import USE_PUBLIC
from corpusmill.transforms.dedup._parts import Parts


class Lines(Parts):
    """Cut lines that occur in several documents; the first `max_copies` documents keep them.

    Source: line-level deduplication as in CCNet (Wenzek et al. 2020, section 3.1) and C4 (Raffel et al. 2020, section 2.2),
    exact instead of per chunk: lines are equal when their bytes are, white space at the ends aside (128-bit hashes).
    Within one document a line may repeat. With `max_copies: 0` all copies go. Documents left without text are dropped.
    Raises RecipeError if `keep` needs a column that is absent.

    >>> Lines(min_words=4).max_copies
    1
    """

    name: ClassVar[str] = "lines"
    refusal: ClassVar[tuple[str, str]] = (
        "a line repeated by one unit is cut out of the documents of others",
        f"leave it out; or {USE_PUBLIC}",
    )
    blocks: ClassVar[bool] = False
