"""Comma-separated values (RFC 4180), and the same with other delimiters, quotes and encodings.

Every value stays the text that it is: no type is guessed, and an empty field is an empty text. Where files are read
differently by different programs, these rules hold:

    quotes       mean something only at the beginning of a field; a quote inside is doubled, or behind the `escape`
    lines        end with LF, CRLF or CR; a quoted field may hold any of them; blank lines are skipped
    delimiter    without the option, that of `, ; tab |` which the first line has most often outside quotes, a comma if it has none
    names        a name that comes again gets the number of its column, as in `n_3`; the columns of roles must be there once
    encoding     without the option, what a byte order mark says, else UTF-8; a row that is not UTF-8 is a bad row
    fields       a row with more or fewer fields than the first line is a bad row
    truncation   a file that ends inside a quoted field is a bad file
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import re
import sys
from collections.abc import Iterator
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, field_validator

from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.compressed import Stream, open_stream
from corpusmill.transforms.sources.files import Part
from corpusmill.transforms.sources.format import Format, Rows
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.opened import faults_of
from corpusmill.transforms.sources.rows import Place
from corpusmill.transforms.sources.spec import SourceSpec

_DELIMITERS = ",;\t|"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BATCH_BYTES = 8 << 20


class Options(BaseModel):
    """How a CSV file is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    delimiter: str | None = Field(None, min_length=1, max_length=1, description="One character between fields.")
    quote: str = Field('"', max_length=1, description="One character around fields; empty if there is none.")
    escape: str | None = Field(None, min_length=1, max_length=1, description="One character before a quote in a field.")
    encoding: str | None = Field(None, description="Encoding, such as latin-1 or cp1252.")
    header: bool = Field(True, description="The first line names the columns; else they are column_1, column_2, ...")

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                codecs.lookup(value)
            except LookupError:
                raise ValueError(f"there is no encoding '{value}'") from None
        return value


class Csv(Format):
    """Comma-separated values."""

    name = "csv"
    extensions: ClassVar[tuple[str, ...]] = (".csv",)
    by_bytes = True
    grows = True
    Options: ClassVar[type[BaseModel] | None] = Options
    delimiter: ClassVar[str | None] = None

    def schema(self, part: Part, spec: SourceSpec) -> pa.Schema:
        """The columns of the first line, all of text."""
        with _reading(part, spec, Budget(part.path, part.size, spec.max_expansion), self.delimiter) as rows:
            return pa.schema([(name, pa.string()) for name in rows.names])

    def read(self, part: Part, spec: SourceSpec, budget: Budget, bad: BadRows, rows: int) -> Rows:
        """Rows as columns of text, and the line on which each begins."""
        with _reading(part, spec, budget, self.delimiter) as reader:
            held: list[list[str]] = []
            lines: list[int] = []
            size = 0
            for line, fields, length in reader:
                problem = reader.problem(fields)
                if problem:
                    bad.saw(1)
                    bad.add(part.path, line, *problem, ",".join(fields).encode("utf-8", "surrogateescape"))
                    continue
                held.append(fields)
                lines.append(line)
                size += length
                if len(held) == rows or size > _BATCH_BYTES:
                    yield _batch(held, reader.names), _place(lines)
                    held, lines, size = [], [], 0
            if held:
                yield _batch(held, reader.names), _place(lines)


def _batch(rows: list[list[str]], names: list[str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [pa.array(column, pa.string()) for column in zip(*rows, strict=True)], names=names
    )


def _place(lines: list[int]) -> Place:
    return lambda rows: [lines[int(r)] for r in rows]


class _Raw(io.RawIOBase):
    """A stream as a file of Python."""

    def __init__(self, stream: Stream, head: bytes) -> None:
        super().__init__()
        self._stream, self._head = stream, head

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._head[: len(buffer)] if self._head else self._stream.read(len(buffer))
        self._head = self._head[len(data) :]
        buffer[: len(data)] = data
        return len(data)


class _Reader:
    """The rows of an opened file: (line on which it begins, fields, characters)."""

    def __init__(self, part: Part, spec: SourceSpec, stream: Stream, delimiter: str | None) -> None:
        options = Options(**spec.options)
        self._path, self._longest = part.path, 2 * spec.max_document_bytes + (1 << 20)
        head = b""
        while len(head) < 4 and (more := stream.read(4 - len(head))):
            head += more
        marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
        encoding = options.encoding or marked or "utf-8"
        utf8 = codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")
        errors = "surrogateescape" if utf8 else "strict"
        buffered = io.BufferedReader(_Raw(stream, head), 1 << 20)  # type: ignore[type-var]
        self._text = io.TextIOWrapper(buffered, "utf-8-sig" if utf8 else encoding, errors, newline="")
        self._line, self._fed, self._ended = 0, 0, False
        self._begin = 1
        first = self._next_line()
        self._first: str | None = first
        outside = re.sub(r'"[^"]*"?', "", first)
        delimiter = options.delimiter or delimiter or max(_DELIMITERS, key=outside.count)
        csv.field_size_limit(sys.maxsize)  # one for the process; `_next_line` bounds what a field may take
        self._csv = csv.reader(
            self._lines(),
            delimiter=delimiter,
            quotechar=options.quote or None,
            escapechar=options.escape,
            quoting=csv.QUOTE_MINIMAL if options.quote else csv.QUOTE_NONE,
        )
        self._pushed: tuple[int, list[str], int] | None = None
        row = self._row()
        if row is None:
            raise BadFileError(part.path, "is empty, and so names no columns")
        fields = row[1]
        self.names = [(name if options.header and name else f"column_{i}") for i, name in enumerate(fields, 1)]
        roles = {"text", *spec.columns.values()}
        self.names = [
            f"{name}_{i}" if name in self.names[: i - 1] and name not in roles else name
            for i, name in enumerate(self.names, 1)
        ]
        if options.header:
            for name in self.names:
                if not name.isprintable() and any(0xDC80 <= ord(c) <= 0xDCFF for c in name):
                    raise BadFileError(part.path, "is not UTF-8", "set `options: {encoding: ...}` of its source")
        else:
            self._pushed = row

    def _next_line(self) -> str:
        line = self._text.readline(self._longest)
        self._fed += len(line)
        if self._fed > self._longest or (len(line) == self._longest and not line.endswith(("\n", "\r"))):
            what = (
                f"has a line, or a quoted field, of more than {self._longest:,} characters from line {self._begin} on"
            )
            raise BadFileError(self._path, what)
        self._line += 1 if line else 0
        return line

    def _lines(self) -> Iterator[str]:
        first, self._first = self._first, None
        if first:
            yield first
        while line := self._next_line():
            yield line
        self._ended = True

    def _row(self) -> tuple[int, list[str], int] | None:
        """The next row that is not blank."""
        while True:
            # the first line was read ahead
            self._begin = self._line if self._first else self._line + 1
            self._fed = len(self._first or "")
            try:
                fields = next(self._csv)
            except StopIteration:
                return None
            except csv.Error as error:
                raise BadFileError(self._path, f"is no CSV at line {self._line} ({error})") from error
            if self._ended:
                raise BadFileError(
                    self._path, f"ends inside a quoted field of the row that begins on line {self._begin}"
                )
            if fields:
                return self._begin, fields, self._fed

    def __iter__(self) -> Iterator[tuple[int, list[str], int]]:
        if self._pushed is not None:
            yield self._pushed
        while (row := self._row()) is not None:
            yield row

    def problem(self, fields: list[str]) -> tuple[str, str] | None:
        """Why a row cannot be used, as reason and detail."""
        if len(fields) != len(self.names):
            return "not-csv", f"{len(fields)} fields, and the first line has {len(self.names)}"
        for name, value in zip(self.names, fields, strict=True):
            try:
                value.encode()
            except UnicodeEncodeError:
                return "not-utf8", f"column '{name}' is not valid UTF-8"
        return None


@contextlib.contextmanager
def _reading(part: Part, spec: SourceSpec, budget: Budget, delimiter: str | None) -> Iterator[_Reader]:
    with (
        open_stream(part.path, budget) as stream,
        faults_of(part.path, "cannot be decoded; set `options: {encoding: ...}`"),
    ):
        yield _Reader(part, spec, stream, delimiter)
