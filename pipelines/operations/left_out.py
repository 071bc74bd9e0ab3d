"""Files in the folders of sources that no format of corpusmill reads, so that nobody takes them for read."""

from __future__ import annotations

import os
from typing import Any

from corpusmill.pipelines.dataset.results import Store
from corpusmill.pipelines.recipe.model import Recipe
from corpusmill.pipelines.wording import printable, some
from corpusmill.transforms import storage
from corpusmill.transforms.errors import CorpusmillError
from corpusmill.transforms.sources.listing import list_files


def left_out(recipe: Recipe) -> list[dict[str, Any]]:
    """For each source with such files: source, files (their number) and example (a path relative to the recipe).

    Call this after the sources were listed by `plan` or `run`: their digests are then known, and no file is read again.
    """
    known = Store(recipe.dataset).listing()
    found = []
    for spec in recipe.sources:
        if spec.format != "auto":  # every file is of the format that is named
            continue
        unknown: list[str] = []
        try:
            list_files(spec, str(recipe.base_dir), dict(known), unknown)
        except (CorpusmillError, OSError):
            continue  # it changed since; the run has its own error for that
        if unknown:
            first = sorted(unknown)[0]
            example = os.path.relpath(first, recipe.base_dir) if storage.is_local(first) else first
            found.append({"source": spec.name, "files": len(unknown), "example": example})
    return found


def sentences(found: list[dict[str, Any]]) -> list[str]:
    """One sentence for each source."""
    return [
        f"source {printable(f['source'])} leaves out {some(f['files'], 'file')} of unknown formats, such as "
        f"{printable(f['example'])}; to read them, set `format`"
        for f in found
    ]
