"""EPUB books: their chapters in the order of reading, as Markdown.

A book without text, a damaged one, one with digital rights management, and one whose XML has entities of its own are quarantined:
epub-no-text, epub-damaged, epub-encrypted, epub-entities.
"""

from __future__ import annotations

import pyarrow as pa

from corpusmill.transforms.sources.bad import BadRows, printable
from corpusmill.transforms.sources.documents.container import BadDocumentError, Container
from corpusmill.transforms.sources.documents.epub_text import epub
from corpusmill.transforms.sources.documents.whole import whole
from corpusmill.transforms.sources.files import Part
from corpusmill.transforms.sources.format import Format, Rows
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.spec import SourceSpec

SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("path", pa.string()),
        ("title", pa.string()),
        ("book_language", pa.string()),
        ("chapter_starts", pa.list_(pa.int32())),
    ]
)


class Epub(Format):
    """EPUB books: columns `text`, `path`, `title`, `book_language` and `chapter_starts` (in characters)."""

    name = "epub"
    extensions = (".epub",)
    extra = "documents"
    libraries = ("Resiliparse",)
    version = 1
    by_bytes = True
    shows_names = True
    small = True

    def schema(self, part: Part, spec: SourceSpec) -> pa.Schema:
        """The same for every file."""
        return SCHEMA

    def read(self, part: Part, spec: SourceSpec, budget: Budget, bad: BadRows, rows: int) -> Rows:
        """The document of the file."""
        try:
            text, title, language, starts = epub(Container(whole(part, budget), "epub", budget))
        except BadDocumentError as error:
            bad.saw(1)
            bad.add(part.path, 1, error.reason, error.detail)
            return
        columns = [
            pa.array([text.encode("utf-8", "replace")], pa.binary()),
            pa.array([printable(part.name)], pa.string()),
            pa.array([title or None], pa.string()),
            pa.array([language or None], pa.string()),
            pa.array([starts], pa.list_(pa.int32())),
        ]
        yield pa.RecordBatch.from_arrays(columns, names=SCHEMA.names), lambda numbers: [1] * len(numbers)
