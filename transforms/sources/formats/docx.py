"""Word documents (.docx): headings, lists, tables and notes in order, as Markdown.

A document without text, a damaged one, an encrypted one, and one whose XML has entities of its own are quarantined: docx-no-text,
docx-damaged, docx-encrypted, docx-entities.
"""

from __future__ import annotations

import pyarrow as pa

from corpusmill.transforms.sources.bad import BadRows, printable
from corpusmill.transforms.sources.documents.container import BadDocumentError, Container
from corpusmill.transforms.sources.documents.docx_text import docx
from corpusmill.transforms.sources.documents.whole import whole
from corpusmill.transforms.sources.files import Part
from corpusmill.transforms.sources.format import Format, Rows
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.spec import SourceSpec

SCHEMA = pa.schema([("text", pa.string()), ("path", pa.string()), ("title", pa.string())])
_ENCRYPTED = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""The beginning of the container of Windows in which Word puts documents with a password."""


class Docx(Format):
    """Word documents: columns `text`, `path` and `title`."""

    name = "docx"
    extensions = (".docx", ".docm")
    extra = "documents"
    version = 1
    by_bytes = True
    shows_names = True
    small = True

    def schema(self, part: Part, spec: SourceSpec) -> pa.Schema:
        """The same for every file."""
        return SCHEMA

    def read(self, part: Part, spec: SourceSpec, budget: Budget, bad: BadRows, rows: int) -> Rows:
        """The document of the file."""
        data = whole(part, budget)
        try:
            if data.startswith(_ENCRYPTED):
                raise BadDocumentError("docx-encrypted", "opens only with a password, or is of Word before 2007")
            text, title = docx(Container(data, "docx", budget))
        except BadDocumentError as error:
            bad.saw(1)
            bad.add(part.path, 1, error.reason, error.detail)
            return
        columns = [
            pa.array([text.encode("utf-8", "replace")], pa.binary()),
            pa.array([printable(part.name)], pa.string()),
            pa.array([title or None], pa.string()),
        ]
        yield pa.RecordBatch.from_arrays(columns, names=SCHEMA.names), lambda numbers: [1] * len(numbers)
