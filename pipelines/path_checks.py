"""What can be said about a recipe's paths before a run: does each local one lead to something, and do they overlap?"""

from __future__ import annotations

import glob
import re
from pathlib import Path

from pipelines.mistakes import Mistakes
from pipelines.registry import nearest

_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://")


def is_local(path: str) -> bool:
    """Whether `path` is a file, folder or glob of this machine."""
    return _REMOTE.match(path) is None or path.startswith("file://")


def local(path: str, base_dir: Path) -> Path:
    """A local path of a recipe, made absolute from the recipe's folder."""
    return base_dir / Path(path.removeprefix("file://")).expanduser()


def check_input(path: str, at: tuple[str | int, ...], found: Mistakes, base_dir: Path, what: str = "path") -> None:
    """A mistake at `at` if a local file, folder or glob leads to nothing."""
    if not is_local(path):
        return
    full = local(path, base_dir)
    if full.exists():
        return
    if any(c in path for c in "*?["):
        if next(glob.iglob(str(full), recursive=True), None) is None:
            found.add(at, f"`{what}`: no file matches {path}", f"looked in {_first_real(full)}")
        return
    parent = full.parent
    near = nearest(full.name, [p.name for p in parent.iterdir()]) if parent.is_dir() else ""
    found.add(at, f"`{what}`: there is no file or folder {path}", near or f"looked in {_first_real(full)}")


def check_output(path: str, inputs: list[str], found: Mistakes, base_dir: Path) -> None:
    """A mistake if the output cannot be a folder, or if a source would read it."""
    at = ("output", "path")
    if not is_local(path):
        found.add(
            at,
            f"`path`: {path} is not on this machine's disk",
            "name a local or mounted folder",
        )
        return
    full = local(path, base_dir).absolute()
    if full.is_file():
        found.add(at, f"`path`: {path} is a file", "name a folder")
    for source in inputs:
        if not is_local(source):
            continue
        root = local(source, base_dir).absolute()
        while any(c in str(root) for c in "*?["):
            root = root.parent
        whole = local(source, base_dir).is_dir() or "**" in source
        if full == root or (whole and root in full.parents):
            found.add(
                at, f"`path`: the source {source} would read the output {path}", "put the output beside the sources"
            )


def _first_real(path: Path) -> Path:
    """The deepest folder on the way to `path` that exists."""
    for parent in path.parents:
        if parent.is_dir() and not any(c in str(parent) for c in "*?["):
            return parent
    return Path("/")
