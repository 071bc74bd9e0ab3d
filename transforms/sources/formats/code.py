"""Files of a source tree, one document a file or one a repository, with what is known of each.

    language   by the file's name and content, as Pygments knows it; of a script without an extension, by its first line
    licence    an SPDX expression by what the first 8,000 characters state; of a file called LICENSE or COPYING, all of it
    generated  the file says so in its first lines, or is a lock file, minified, or has the name that a generator gives
    vendored   a folder on its way is called vendor, node_modules, third_party or the like

A notebook (.ipynb) becomes its cells in order, those of code between fences; outputs are left out. Binary files are left out
and counted. A file's licence is its own: that of a LICENSE file beside it is a document of its own.

With `options: {by: repository}`, a document is a checkout or an archive: its files in the order in which they need each other, by
imports and includes. Columns: `text`, `repository`, `part`, `files`, `language` and `licence`.
"""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa
from pydantic import BaseModel

from corpusmill.transforms import storage
from corpusmill.transforms.sources.bad import BadRows, printable
from corpusmill.transforms.sources.documents.checkouts import files_of, repositories
from corpusmill.transforms.sources.documents.repository import Options, documents
from corpusmill.transforms.sources.documents.source_code import NOT_NOTEBOOK, source_file
from corpusmill.transforms.sources.documents.whole import whole
from corpusmill.transforms.sources.files import FileRef, Part
from corpusmill.transforms.sources.format import Format, Rows
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.rows import Place
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
REPOSITORY = pa.schema(
    [
        ("text", pa.string()),
        ("repository", pa.string()),
        ("part", pa.int32()),
        ("files", pa.list_(pa.string())),
        ("language", pa.string()),
        ("licence", pa.string()),
    ]
)


class Code(Format):
    """Source files: columns `text`, `path`, `language`, `licence` (null where unknown), `generated` and `vendored`; or
    repositories."""

    name = "code"
    extra = "documents"
    libraries = ("Pygments",)
    version = 1
    Options: ClassVar[type[BaseModel] | None] = Options
    by_bytes: ClassVar[bool] = True
    shows_names: ClassVar[bool] = True
    small: ClassVar[bool] = True

    def finds(self, spec: SourceSpec) -> bool:
        """Repositories are no files."""
        return _by_repository(spec)

    def find(self, spec: SourceSpec, path: str) -> list[FileRef] | list[tuple[storage.Entry, str]]:
        """The repositories of a path."""
        return repositories(path)

    def schema(self, part: Part, spec: SourceSpec) -> pa.Schema:
        """The same for every file, and for every repository."""
        return REPOSITORY if _by_repository(spec) else SCHEMA

    def read(self, part: Part, spec: SourceSpec, budget: Budget, bad: BadRows, rows: int) -> Rows:
        """The document of the file, none of a binary one; or the documents of the repository."""
        if _by_repository(spec):
            yield from _repository(part, spec, budget, bad)
            return
        name = printable(part.name)
        data = whole(part, budget)
        file = source_file(name, data)
        if file == NOT_NOTEBOOK:
            bad.saw(1)
            bad.add(part.path, 1, NOT_NOTEBOOK, "is no notebook as JSON, or has no cells", data)
        elif isinstance(file, str):
            bad.leave_out(file, part.name)
        else:
            values = [file.raw, name, file.language, file.licence, file.generated, file.vendored]
            types = [pa.binary(), *list(SCHEMA.types)[1:]]
            columns = [pa.array([value], kind) for value, kind in zip(values, types)]
            yield pa.RecordBatch.from_arrays(columns, names=SCHEMA.names), lambda numbers: [1] * len(numbers)


def _by_repository(spec: SourceSpec) -> bool:
    return spec.format == "code" and spec.options.get("by") == "repository"


def _repository(part: Part, spec: SourceSpec, budget: Budget, bad: BadRows) -> Rows:
    name = printable(part.name)
    options = Options.model_validate(spec.options)
    for found in documents(files_of(part, spec, budget, bad), options, bad, name):
        values = [found.text, name, found.part, found.files, found.language, found.licence]
        columns = [pa.array([value], kind) for value, kind in zip(values, REPOSITORY.types)]
        yield pa.RecordBatch.from_arrays(columns, schema=REPOSITORY), _at(found.part)


def _at(position: int) -> Place:
    return lambda numbers: [position] * len(numbers)
