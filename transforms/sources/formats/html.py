"""HTML files, one document a file: `text` is the page as it is written, which `extract` turns into text.

The encoding is told by a byte order mark, by validity as UTF-8, by `meta`, and else by the look of the bytes
(`corpusmill.transforms.sources.charsets`). The column `charset` names it; `path` is the file's name.
"""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa

from corpusmill.transforms.sources.bad import BadRows, printable
from corpusmill.transforms.sources.charsets import as_utf8, utf8_array
from corpusmill.transforms.sources.documents.whole import whole
from corpusmill.transforms.sources.files import Part
from corpusmill.transforms.sources.format import Format, Rows
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.spec import SourceSpec

SCHEMA = pa.schema([("text", pa.string()), ("path", pa.string()), ("charset", pa.string())])


class Html(Format):
    """HTML files: columns `text` (the HTML), `path` and `charset`."""

    name = "html"
    extensions: ClassVar[tuple[str, ...]] = (".html", ".htm", ".xhtml", ".xht", ".shtml")
    magic: ClassVar[tuple[bytes, ...]] = (b"<!DOCTYPE html", b"<!doctype html", b"<!DOCTYPE HTML", b"<html", b"<HTML")
    libraries: ClassVar[tuple[str, ...]] = ("Resiliparse",)
    by_bytes: ClassVar[bool] = True
    grows: ClassVar[bool] = True
    shows_names: ClassVar[bool] = True
    small: ClassVar[bool] = True

    def schema(self, part: Part, spec: SourceSpec) -> pa.Schema:
        """The same for every file."""
        return SCHEMA

    def read(self, part: Part, spec: SourceSpec, budget: Budget, bad: BadRows, rows: int) -> Rows:
        """The page."""
        text, charset = as_utf8(whole(part, budget))
        columns = [utf8_array([text]), *(pa.array([value], pa.string()) for value in (printable(part.name), charset))]
        yield pa.RecordBatch.from_arrays(columns, schema=SCHEMA), lambda numbers: [1] * len(numbers)
