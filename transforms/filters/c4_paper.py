"""The line and page rules of C4, as its paper has them."""

from __future__ import annotations

from typing import ClassVar

from corpusmill.transforms.filters.c4_lines import C4Lines


class C4Paper(C4Lines):
    """Cut lines that are no sentences, and drop documents with little left, code or placeholder text.

    Raffel et al. 2020, "Exploring the limits of transfer learning with a unified text-to-text transformer", section 2.2,
    without its deduplication and its language identification, which are steps of their own here; the table in
    `corpusmill.transforms.filters.c4_lines` says where the code that built the data set differs. Kept lines are joined by line
    feeds. With `adapt`, the terminal marks of all scripts end a line, Thai and Lao end any line, and characters of scripts
    without spaces are words.

    >>> import pyarrow as pa
    >>> text = "The first line says a lot.\\nThe second one says even more.\\nAnd so does the third one.\\nif (x) {"
    >>> C4Paper()(pa.record_batch({"id": ["a"], "text": [text]})).num_rows
    0
    """

    name: ClassVar[str] = "c4-paper"
    version: ClassVar[int] = 1
    as_code: ClassVar[bool] = False
