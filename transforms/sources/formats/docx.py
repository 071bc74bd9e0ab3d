"""Word documents (.docx): headings, lists, tables and notes in order, as Markdown.

A document without text, a damaged one, an encrypted one, and one whose XML has entities of its own are quarantined: docx-no-text,
docx-damaged, docx-encrypted, docx-entities.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from corpusmill.transforms.sources.documents.container import BadDocumentError, Container
from corpusmill.transforms.sources.documents.docx_text import docx
from corpusmill.transforms.sources.documents.single import SingleDocument
from corpusmill.transforms.sources.limits import Budget

SCHEMA = pa.schema([("text", pa.string()), ("path", pa.string()), ("title", pa.string())])
_ENCRYPTED = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""The beginning of the container of Windows in which Word puts documents with a password."""


class Docx(SingleDocument):
    """Word documents: columns `text`, `path` and `title`."""

    name = "docx"
    extensions = (".docx", ".docm")
    version = 1
    columns = SCHEMA

    def values(self, data: bytes, budget: Budget) -> tuple[str, list[Any]]:
        if data.startswith(_ENCRYPTED):
            raise BadDocumentError("docx-encrypted", "opens only with a password, or is of Word before 2007")
        text, title = docx(Container(data, "docx", budget))
        return text, [title or None]
