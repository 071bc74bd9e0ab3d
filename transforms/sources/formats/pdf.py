"""PDF files: text in reading order, with the place where each page begins.

Headers, footers and page numbers are taken off (`furniture.py` in `sources/pdf` has the rule), lines of a paragraph are joined,
and hyphens at line ends are undone (`paragraphs.py`). A file without text, such as a scan, an encrypted and a damaged one are
quarantined: pdf-no-text, pdf-encrypted, pdf-damaged; one that crashes pdfium or takes too long: pdf-crash, pdf-limits.
"""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from corpusmill.transforms.sources.bad import BadRows, printable
from corpusmill.transforms.sources.documents.whole import whole
from corpusmill.transforms.sources.files import Part
from corpusmill.transforms.sources.format import Format, Rows
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.pdf.children import child
from corpusmill.transforms.sources.spec import SourceSpec

SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("path", pa.string()),
        ("title", pa.string()),
        ("pages", pa.int32()),
        ("pages_without_text", pa.int32()),
        ("page_starts", pa.list_(pa.int32())),
    ]
)


class Options(BaseModel):
    """How PDF files are read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keep_headers: bool = Field(False, description="Keep headers, footers and page numbers.")


class Pdf(Format):
    """PDF files: columns `text`, `path`, `title`, `pages`, `pages_without_text` (scanned ones, or drawings) and `page_starts`
    (where in the text each page begins, in characters)."""

    name = "pdf"
    extensions = (".pdf",)
    magic = (b"%PDF-",)
    extra = "documents"
    libraries = ("pypdfium2",)
    version = 1
    Options: ClassVar[type[BaseModel] | None] = Options
    by_bytes = True
    shows_names = True
    small = True

    def schema(self, part: Part, spec: SourceSpec) -> pa.Schema:
        """The same for every file."""
        return SCHEMA

    def read(self, part: Part, spec: SourceSpec, budget: Budget, bad: BadRows, rows: int) -> Rows:
        """The document of the file."""
        options = Options(**spec.options)
        data = whole(part, budget)
        with child() as reader:
            answer = reader.ask(data, spec.max_document_bytes, options.keep_headers)
        if "reason" in answer:
            bad.saw(1)
            bad.add(part.path, 1, answer["reason"], answer["detail"])
            return
        pages = len(answer["starts"])
        batch = pa.record_batch(
            {
                "text": [answer["text"].encode("utf-8", "replace")],
                "path": [printable(part.name)],
                "title": pa.array([answer["title"] or None], pa.string()),
                "pages": pa.array([pages], pa.int32()),
                "pages_without_text": pa.array([answer["empty"]], pa.int32()),
                "page_starts": pa.array([answer["starts"]], pa.list_(pa.int32())),
            }
        )
        yield batch, lambda numbers: [1] * len(numbers)
