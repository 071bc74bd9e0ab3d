"""The first rows of a source: which columns its files have, before anything runs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.transforms import storage
from corpusmill.transforms.errors import BadFileError, SourceError
from corpusmill.transforms.sources import formats
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.compressed import first_bytes
from corpusmill.transforms.sources.files import Part
from corpusmill.transforms.sources.format import Format
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.spec import SourceSpec
from corpusmill.transforms.storage.local import matching

ROWS = 64
"""Rows looked at in a file whose columns only its rows tell."""
TRIES = 5
"""Files looked at in a folder until one has rows."""
BYTES = 256 << 10
"""Bytes looked at in a file that is cut by bytes. Its reader would otherwise parse a block of 8 MB."""


@dataclass(frozen=True)
class Preview:
    """A file of a source, its format, and its columns as far as the first rows tell. `certain`: no later row has more. `longest`:
    the column with the longest texts in the first rows, or an empty string."""

    file: str
    format: str
    columns: list[str]
    certain: bool
    longest: str = ""


def preview(spec: SourceSpec, path: str, base_dir: Path) -> Preview | None:
    """The first file with rows at a path on this machine; None for an empty path, and for formats that list files
    themselves.

    Raises:
        BadFileError, UnreadableFileError: the file cannot be read.
        MissingDependencyError: the format needs a package that is not installed.
    """
    pattern = str(base_dir / os.path.expanduser(storage.local_path(path)))
    for file, form in _first_files(spec, pattern):
        reader = formats.load(form)
        if reader.small and spec.format == "auto" and file != pattern:  # a README among other files
            continue
        size = os.path.getsize(file)
        ranges = reader.ranges(file, size, BYTES) if reader.by_bytes and size > BYTES else []
        begin, end = ranges[0] if ranges else (0, size)
        part = Part(file, os.path.basename(file), size, "", begin, end, end == size)
        budget = Budget(file, size, spec.max_expansion)
        if not reader.inferred and (schema := reader.schema(part, spec)) is not None:
            longest = _longest_of(reader, part, spec, schema) if spec.column("text") not in schema.names else ""
            return Preview(file, form, schema.names, True, longest)
        rows = reader.read(part, spec, budget, BadRows(spec.name), ROWS)
        for batch, _ in rows:
            # a reader of JSON adds the columns that the recipe names, with nulls
            names = [n for n, column in zip(batch.schema.names, batch.columns) if column.null_count < len(column)]
            shown = names if reader.lenient else batch.schema.names
            return Preview(file, form, shown, not reader.lenient, _longest(batch))
    return None


def _longest_of(reader: Format, part: Part, spec: SourceSpec, schema: pa.Schema) -> str:
    """`_longest` of the first rows of a file, whatever columns the source names."""
    any_column = spec.model_copy(update={"columns": {"text": schema.names[0]} if schema.names else {}, "keep": None})
    budget = Budget(part.path, part.size, spec.max_expansion)
    with contextlib.suppress(SourceError):
        for batch, _ in reader.read(part, any_column, budget, BadRows(spec.name), ROWS):
            return _longest(batch)
    return ""


def _longest(batch: pa.RecordBatch) -> str:
    """The column of strings that has the most characters."""
    texts = [f.name for f in batch.schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)]
    sizes = {n: pc.sum(pc.utf8_length(batch.column(n))).as_py() or 0 for n in texts if batch.schema.names.count(n) == 1}
    return max(sizes, key=lambda n: (sizes[n], n)) if any(sizes.values()) else ""


def unknown_formats(spec: SourceSpec, path: str, base_dir: Path) -> str:
    """A file of a path if there are files and the format of none of the first is known; else an empty string."""
    pattern = str(base_dir / os.path.expanduser(storage.local_path(path)))
    if spec.format != "auto" or _is_listed_by_format(pattern) or next(_first_files(spec, pattern), None):
        return ""
    return next((entry.uri for entry in matching(pattern)), "")


def _first_files(spec: SourceSpec, pattern: str) -> Iterator[tuple[str, str]]:
    """(file, format) of the first files of a known format."""
    own = spec.format != "auto" and formats.load(spec.format).finds(spec)
    if own or _is_listed_by_format(pattern):
        return
    tried = 0
    for entry in matching(pattern):
        form = spec.format if spec.format != "auto" else formats.by_extension(entry.uri) or _by_content(entry.uri)
        if form:
            yield entry.uri, form
            tried += 1
        if tried == TRIES:
            return


def _is_listed_by_format(pattern: str) -> bool:
    """Whether a format lists this path itself: a scheme of its own, or a folder with its marker."""
    markers = [m for f in formats.known().values() for m in f.markers]
    return bool(formats.by_scheme(pattern)) or any(os.path.exists(os.path.join(pattern, m)) for m in markers)


def _by_content(file: str) -> str | None:
    try:
        return formats.by_content(first_bytes(file))
    except BadFileError:
        return None
