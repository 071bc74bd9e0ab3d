"""EPUB books: their chapters in the order of reading, as Markdown.

A book without text, a damaged one, one with digital rights management, and one whose XML has entities of its own are quarantined:
epub-no-text, epub-damaged, epub-encrypted, epub-entities.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from corpusmill.transforms.sources.documents.container import Container
from corpusmill.transforms.sources.documents.epub_text import epub
from corpusmill.transforms.sources.documents.single import SingleDocument
from corpusmill.transforms.sources.limits import Budget

SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("path", pa.string()),
        ("title", pa.string()),
        ("book_language", pa.string()),
        ("chapter_starts", pa.list_(pa.int32())),
    ]
)


class Epub(SingleDocument):
    """EPUB books: columns `text`, `path`, `title`, `book_language` and `chapter_starts` (in characters)."""

    name = "epub"
    extensions = (".epub",)
    libraries = ("Resiliparse",)
    version = 1
    columns = SCHEMA

    def values(self, data: bytes, budget: Budget) -> tuple[str, list[Any]]:
        text, title, language, starts = epub(Container(data, "epub", budget))
        return text, [title or None, language or None, starts]
