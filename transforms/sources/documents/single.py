"""The base of formats whose files are one document each, read whole in this process."""

from __future__ import annotations

import abc
from typing import Any, ClassVar

import pyarrow as pa

from corpusmill.transforms.sources.bad import BadRows, printable
from corpusmill.transforms.sources.documents.container import BadDocumentError
from corpusmill.transforms.sources.documents.whole import whole
from corpusmill.transforms.sources.files import Part
from corpusmill.transforms.sources.format import Format, Rows
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.spec import SourceSpec


class SingleDocument(Format):
    """A file is a row: `text` and `path`, then the columns of the format. A document that cannot be read is a bad row."""

    extra = "documents"
    by_bytes = True
    shows_names = True
    small = True
    columns: ClassVar[pa.Schema]
    """The columns of a row, `text` and `path` first."""

    @abc.abstractmethod
    def values(self, data: bytes, budget: Budget) -> tuple[str, list[Any]]:
        """(text, values of the columns behind `path`) of a file's content. Raises BadDocumentError."""

    def schema(self, part: Part, spec: SourceSpec) -> pa.Schema:
        """The same for every file."""
        return self.columns

    def read(self, part: Part, spec: SourceSpec, budget: Budget, bad: BadRows, rows: int) -> Rows:
        """The document of the file."""
        data = whole(part, budget)
        try:
            text, more = self.values(data, budget)
        except BadDocumentError as error:
            bad.saw(1)
            bad.add(part.path, 1, error.reason, error.detail)
            return
        columns = [
            pa.array([text.encode("utf-8", "replace")], pa.binary()),
            pa.array([printable(part.name)], pa.string()),
            *(pa.array([value], kind) for value, kind in zip(more, self.columns.types[2:], strict=True)),
        ]
        yield pa.RecordBatch.from_arrays(columns, names=self.columns.names), lambda numbers: [1] * len(numbers)
