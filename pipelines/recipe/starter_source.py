"""What `corpusmill init --source PATH` writes about the source: format and columns, as far as its files tell."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

from corpusmill.pipelines.recipe.source_checks import guess_columns
from corpusmill.transforms import storage
from corpusmill.transforms.errors import CorpusmillError
from corpusmill.transforms.sources import formats
from corpusmill.transforms.sources.spec import SourceSpec
from corpusmill.transforms.storage.local import matching

LOOKED_AT = 10_000
"""Files of a folder whose names are looked at."""
PAGES = ("html", "warc")
"""Formats whose text is HTML."""
OWN_COLUMNS = {"warc": {"id": "record", "created": "date"}, "wikipedia": {"id": "url", "created": "date"}}
"""A page is often captured twice, so its address is no id. `extract` writes a column `date` of its own."""
ROWS = ("csv", "tsv", "jsonl", "parquet", "arrow", "wikipedia", "warc")
"""Formats whose files have columns of their own, which one `columns` for all files would not fit."""


def sources_of(source: str, folder: Path) -> tuple[list[dict[str, Any]], bool]:
    """The fields of the sources of a new recipe, and whether their text is HTML. There is one source, or one for each format
    where a folder mixes formats with columns.

    Args:
        source: file, folder, glob or URI, relative to `folder`.
        folder: that of the recipe.
    """
    name = _plain(Path(source).stem) or "docs"
    if not storage.is_local(source) or formats.by_scheme(source):
        return [{"name": name, "path": source}], False
    full = str(folder / os.path.expanduser(storage.local_path(source)))
    if os.path.isdir(full) and os.path.exists(os.path.join(full, ".git")):
        return [{"name": name, "path": source, "format": "code"}], False
    mixed, unknown = _mixed(full) if os.path.isdir(full) else ({}, False)
    if len(mixed) < 2 or not any(form in ROWS for form in mixed):
        given = _looked_at(name, source, folder, alone=len(mixed) < 2)
        pages = given.get("format") in PAGES or any(form in PAGES for form in mixed)
        if unknown:  # a format that is named is that of every file
            given.pop("format", None)
        return [given], pages
    found = []
    for form, endings in sorted(mixed.items()):
        paths = [f"{source.rstrip('/')}/**/*{ending}" for ending in sorted(endings)]
        given = _looked_at(f"{name}-{form}", paths[0], folder, alone=True)
        found.append(given | {"path": paths[0] if len(paths) == 1 else paths})
    return found, any(form in PAGES for form in mixed)


def _plain(name: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name).strip("-")


def _mixed(folder: str) -> tuple[dict[str, set[str]], bool]:
    """The formats of the files in a folder by their names, with the endings of each; and whether there are other files."""
    found: dict[str, set[str]] = {}
    unknown = False
    for entry in itertools.islice(matching(folder), LOOKED_AT):
        form = formats.by_extension(entry.uri)
        if form:
            base = os.path.basename(entry.uri)
            known = [e for e in formats.known()[form].extensions if e in base.lower()]
            at = base.lower().rfind(max(known, key=len)) if known else -1
            found.setdefault(form, set()).add(base[at:] if at >= 0 else base)
        unknown = unknown or not form
    return found, unknown


def _looked_at(name: str, source: str, folder: Path, alone: bool) -> dict[str, Any]:
    """Name, path, format and columns. alone: whether all files are of one format."""
    from corpusmill.transforms.sources.preview import preview

    given: dict[str, Any] = {"name": name, "path": source}
    try:
        spec = SourceSpec.model_validate({"name": name, "path": source})
        seen = preview(spec, source, folder)
    except (CorpusmillError, OSError, ValueError):  # `check` says what is wrong
        return given
    if seen is None or not alone:
        return given
    columns = OWN_COLUMNS.get(seen.format) or guess_columns(seen.columns, seen.longest)
    return given | {"format": seen.format, **({"columns": columns} if columns else {})}
