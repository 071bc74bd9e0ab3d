"""The first rows of a source: which columns its files have, before anything runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from corpusmill.transforms import storage
from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.sources import formats
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.compressed import first_bytes
from corpusmill.transforms.sources.files import Part
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
    """A file of a source, its format, and its columns as far as the first rows tell. `certain`: no later row has more."""

    file: str
    format: str
    columns: list[str]
    certain: bool


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
        if not reader.inferred and (schema := reader.schema(part, spec)) is not None:
            return Preview(file, form, schema.names, True)
        rows = reader.read(part, spec, Budget(file, size, spec.max_expansion), BadRows(spec.name), ROWS)
        for batch, _ in rows:
            # a reader of JSON adds the columns that the recipe names, with nulls
            names = [n for n, column in zip(batch.schema.names, batch.columns) if column.null_count < len(column)]
            return Preview(file, form, names if reader.lenient else batch.schema.names, not reader.lenient)
    return None


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
