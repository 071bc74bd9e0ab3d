"""Files of a source tree, one document a file, with what is known of each: its language, its licence, who wrote it.

    language   by the file's name and content, as Pygments knows it; of a script without an extension, by its first line
    licence    an SPDX expression by what the first 8,000 characters state; of a file called LICENSE or COPYING, all of it
    generated  the file says so in its first lines, or is a lock file, minified, or has the name that a generator gives
    vendored   a folder on its way is called vendor, node_modules, third_party or the like

A notebook (.ipynb) becomes its cells in order, those of code between fences; outputs are left out. Binary files are left out
and counted. A file's licence is its own: that of a LICENSE file beside it is a document of its own.
"""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa

from corpusmill.transforms.sources.bad import BadRows, printable
from corpusmill.transforms.sources.documents.source_code import (
    is_generated,
    is_vendored,
    language_of,
    licence_of,
    notebook,
)
from corpusmill.transforms.sources.documents.whole import whole
from corpusmill.transforms.sources.files import Part
from corpusmill.transforms.sources.format import Format, Rows
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.spec import SourceSpec

SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("path", pa.string()),
        ("language", pa.string()),
        ("licence", pa.string()),
        ("generated", pa.bool_()),
        ("vendored", pa.bool_()),
    ]
)
BINARY = "binary file"


class Code(Format):
    """Source files: columns `text`, `path`, `language`, `licence` (null where unknown), `generated` and `vendored`."""

    name = "code"
    extra = "documents"
    libraries = ("Pygments",)
    version = 1
    by_bytes: ClassVar[bool] = True
    shows_names: ClassVar[bool] = True
    small: ClassVar[bool] = True

    def schema(self, part: Part, spec: SourceSpec) -> pa.Schema:
        """The same for every file."""
        return SCHEMA

    def read(self, part: Part, spec: SourceSpec, budget: Budget, bad: BadRows, rows: int) -> Rows:
        """The document of the file; none of a binary file."""
        data = whole(part, budget)
        if b"\0" in data[:8192]:
            bad.leave_out(BINARY, part.name)
            return
        name = printable(part.name)
        raw: bytes = data.removeprefix(b"\xef\xbb\xbf")
        text = raw.decode("utf-8", "replace")
        language = language_of(name, text)
        if name.lower().endswith(".ipynb"):
            cells = notebook(text)
            if cells is None:
                bad.saw(1)
                bad.add(part.path, 1, "not-notebook", "is no notebook as JSON, or has no cells", raw)
                return
            text, language = cells, "Jupyter Notebook"
            raw = text.encode("utf-8", "replace")
        if not text.strip():
            bad.leave_out("empty file", part.name)
            return
        columns = [
            pa.array([raw], pa.binary()),
            pa.array([name], pa.string()),
            pa.array([language], pa.string()),
            pa.array([licence_of(name, text)], pa.string()),
            pa.array([is_generated(name, text)], pa.bool_()),
            pa.array([is_vendored(name)], pa.bool_()),
        ]
        yield pa.RecordBatch.from_arrays(columns, names=SCHEMA.names), lambda numbers: [1] * len(numbers)
