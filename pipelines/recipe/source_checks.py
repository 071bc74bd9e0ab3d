"""What the first rows of each source say about the recipe: columns that are not there, and formats that nobody knows."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from corpusmill.transforms import storage
from corpusmill.transforms.errors import MissingDependencyError, SourceError
from corpusmill.transforms.settings.mistakes import Mistakes
from corpusmill.transforms.settings.spelling import closest, nearest
from corpusmill.transforms.sources import formats
from corpusmill.transforms.sources.spec import IDS, Role, SourceSpec
from corpusmill.transforms.versions import library_version

if TYPE_CHECKING:
    from corpusmill.transforms.sources.preview import Preview

Place = tuple[str | int, ...]
LIKELY_TEXT = ("content", "body", "document", "raw_content", "article", "markdown", "code")
"""Columns that may hold the text where there is no `text`."""


def check_source(spec: SourceSpec, at: Place, mistakes: Mistakes, base_dir: Path) -> None:
    """Note what the first rows of each local path of a source show to be wrong. The paths themselves are right."""
    for j, path in enumerate(spec.paths):
        place = (*at, "path", j)
        if scheme := formats.by_scheme(path):
            _check_extra(scheme, place, mistakes)
        elif spec.format in formats.known() and formats.known()[spec.format].lists:
            _check_list(spec, path, place, mistakes, base_dir)
        elif storage.is_local(path):
            _check_path(spec, path, place, mistakes, base_dir)


def notes(spec: SourceSpec, base_dir: Path) -> list[str]:
    """What is right but may not be meant: a column that names the documents without being asked for."""
    lines = []
    for path in spec.paths:
        seen = _preview(spec, path, base_dir) if storage.is_local(path) and not formats.by_scheme(path) else None
        name = next((n for n in IDS if n in seen.columns), "") if seen else ""
        if name and spec.column("id") is None:
            lines.append(
                f"source {spec.name}: documents are named by their column `{name}`, as no other is named in `columns`"
            )
    return list(dict.fromkeys(lines))


def _preview(spec: SourceSpec, path: str, base_dir: Path) -> Preview | None:
    from corpusmill.transforms.sources.preview import preview

    try:
        return preview(spec, path, base_dir)
    except (SourceError, OSError, ValueError):  # the run says more about a damaged file, or quarantines it
        return None


def _check_path(spec: SourceSpec, path: str, place: Place, mistakes: Mistakes, base_dir: Path) -> None:
    from corpusmill.transforms.sources.preview import unknown_formats

    try:
        if file := unknown_formats(spec, path, base_dir):
            choices = " or ".join(f.name for f in formats.known().values() if f.extensions or f.patterns)
            mistakes.add(place, f"`path`: the format of {file} is unknown", f"set `format` to {choices}")
            return
        seen = _preview(spec, path, base_dir)
    except MissingDependencyError as error:
        mistakes.add(place, f"`path`: {str(error).rstrip('.')}")
        return
    if seen is None:
        return
    reader = formats.load(seen.format)
    lacking = [name for name in reader.libraries if reader.extra and not library_version(name)]
    if lacking:
        what = f"`path`: the format {seen.format} of {seen.file} needs the package {lacking[0]}"
        mistakes.add(place, what, f"pip install 'corpusmill[{reader.extra}]'")
        return
    if not seen.columns:  # rows without any column are quarantined by the run
        return
    names = seen.columns
    for role, column in _missing(spec, names, seen.certain).items():
        has = nearest(column, names) or f"it has: {', '.join(sorted(names)[:20])}"
        at = place[:-2]
        if role == "keep":
            at = (*at, "keep")
        elif role in spec.columns:
            at = (*at, "columns", role)
        else:
            likely = guess_columns(names, seen.longest).get("text", "NAME")
            at, has = place, f"{has}; name the column with the text, as in `columns: {{text: {likely}}}`"
        mistakes.add(at, f"{seen.file} has no column `{column}`", has)


def _check_list(spec: SourceSpec, path: str, place: Place, mistakes: Mistakes, base_dir: Path) -> None:
    """A mistake where a list of files cannot be read, or the package that gets them is absent. Nothing is fetched."""
    reader = formats.load(spec.format)
    lacking = [name for name in reader.libraries if not library_version(name)]
    if lacking:
        mistakes.add(place, f"`format`: {spec.format} needs {lacking[0]}", f"pip install 'corpusmill[{reader.extra}]'")
    try:
        reader.check_list(spec, str(base_dir / os.path.expanduser(storage.local_path(path))))
    except SourceError as error:
        what, _, advice = str(error).partition(" To go on: ")
        mistakes.add(place, f"`path`: {what.rstrip('.')}", advice.rstrip("."))
    except OSError:  # that the file is not there was said before
        return


def _missing(spec: SourceSpec, names: list[str], certain: bool) -> dict[str, str]:
    """Role -> column that the recipe names and the file lacks. Rows of JSON may lack what later ones have, but not all."""
    roles: list[Role] = [role for role in get_args(Role) if certain or role in ("id", "text")]
    missing: dict[str, str] = {r: c for r in roles if (c := spec.column(r)) is not None and c not in names}
    lost = [c for c in spec.keep or [] if c not in names]
    return missing | ({"keep": lost[0]} if lost and certain else {})


def _check_extra(scheme: str, place: Place, mistakes: Mistakes) -> None:
    """A mistake where the library behind a scheme is not installed."""
    extra = formats.load(scheme).extra
    if extra and importlib.util.find_spec({"hf": "datasets"}.get(extra, extra)) is None:
        mistakes.add(place, f"`path`: the format {scheme} needs a package", f"pip install 'corpusmill[{extra}]'")


def guess_columns(names: list[str], longest: str = "") -> dict[str, str]:
    """Roles of the columns of a file, for a new recipe: `id` or `url`, `text` or what is like it, and others by their name. The
    case of letters does not count.

    Args:
        longest: the column with the longest texts, which is the text where no name is like it.
    """
    lower = {name.lower(): name for name in reversed(names)}
    columns: dict[str, str] = {
        role: lower[role] for role in get_args(Role) if role in lower and role not in ("text", "priority")
    }
    if "id" not in columns and "url" in lower:
        columns["id"] = lower["url"]
    if "text" not in names:
        likely = [lower[n] for n in ("text", *LIKELY_TEXT) if n in lower] + closest("text", names)
        others = [longest] if longest and longest not in columns.values() else []
        if found := [*likely, *others]:
            columns["text"] = found[0]
    return columns
