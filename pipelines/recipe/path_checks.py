"""What can be said about a recipe's paths before a run: does each local one lead to something, and do they overlap?"""

from __future__ import annotations

import importlib.metadata
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from corpusmill.transforms.base import Transform
from corpusmill.transforms.errors import CorpusmillError, RecipeError
from corpusmill.transforms.generate.step import models_of
from corpusmill.transforms.secrets import has_secret
from corpusmill.transforms.settings.mistakes import Mistakes
from corpusmill.transforms.settings.spelling import nearest
from corpusmill.transforms.storage.local import matching
from corpusmill.transforms.storage.paths import glob_root, has_magic, is_local, translate
from corpusmill.transforms.versions import library_version


def local(path: str, base_dir: Path) -> Path:
    """A local path of a recipe, made absolute from the recipe's folder."""
    return base_dir / os.path.expanduser(path.removeprefix("file://"))


def check_input(path: str, at: tuple[str | int, ...], mistakes: Mistakes, base_dir: Path, what: str = "path") -> None:
    """A mistake at `at` if a local file, folder or glob leads to nothing."""
    if not is_local(path):
        return
    full = local(path, base_dir)
    if full.exists():
        if not full.is_file() and not full.is_dir():  # to read a pipe is to wait for ever
            mistakes.add(at, f"`{what}`: {path} is a device, pipe or socket", "name a file or folder")
        return
    if full.is_symlink():
        mistakes.add(at, f"`{what}`: {path} is a link to {os.readlink(full)}, which is not there")
        return
    if has_magic(path):
        try:
            first = next(matching(str(full)), None)
        except RecipeError as error:
            reason, _, advice = str(error).partition("; ")
            mistakes.add(at, f"`{what}`: {reason}", advice)
            return
        if first is None:
            mistakes.add(at, f"`{what}`: no file matches {path}", f"looked in {_first_real(full)}")
        return
    parent = full.parent
    near = nearest(full.name, [p.name for p in parent.iterdir()]) if parent.is_dir() else ""
    mistakes.add(at, f"`{what}`: there is no file or folder {path}", near or f"looked in {_first_real(full)}")


def check_files(step: Transform, at: tuple[str | int, ...], mistakes: Mistakes, base_dir: Path) -> None:
    """A mistake for each file of a step that is not there, at the field that names it."""
    try:
        files = step.files()
    except RecipeError as error:  # a module that is not installed
        what, _, advice = str(error).partition(". ")
        mistakes.add(at, what, advice, key=True)
        return
    for path in files:
        place = _place_of(path, step.model_dump()) or ("files",)
        before = len(mistakes.problems)
        check_input(path, (*at, *place), mistakes, base_dir, ".".join(map(str, place)))
        if place == ("tokenizer",) and len(mistakes.problems) > before:
            last = mistakes.problems.pop()
            mistakes.problems.append(replace(last, advice="`corpusmill tokenizer RECIPE` trains one"))


def check_sources(step: Transform, at: tuple[str | int, ...], mistakes: Mistakes, known: list[str]) -> None:
    """A mistake for each source that a step names and the recipe does not have."""
    for field, name in getattr(step, "named_sources", list)():
        if name not in known:
            advice = nearest(name, known) or f"the sources are: {', '.join(known)}"
            mistakes.add((*at, field), f"`{field}`: no source of this recipe is called `{name}`", advice)


def check_needs(step: Transform, at: tuple[str | int, ...], mistakes: Mistakes) -> None:
    """A mistake for each library of a step that is not installed."""
    for library in step.needs():
        if not library_version(library):
            what = f"`{step.step_name}` needs the package {library}, which is not installed"
            mistakes.add(at, what, installing(library), key=True)


def installing(library: str) -> str:
    """The command that installs a library: by the extra that has it, if there is one."""
    try:
        wanted = importlib.metadata.requires("corpusmill") or []
    except importlib.metadata.PackageNotFoundError:  # a source tree
        wanted = []
    extras = [
        m[1]
        for r in wanted
        if re.match(rf"{re.escape(library)}\b", r) and (m := re.search(r"extra == [\"']([\w-]+)", r))
    ]
    extra = next((e for e in extras if e not in ("all", "test")), None)
    return f"pip install 'corpusmill[{extra}]'" if extra else f"pip install {library}"


def check_models(step: Transform, at: tuple[str | int, ...], mistakes: Mistakes, base_dir: Path) -> None:
    """A mistake for each model of a step that is absent, damaged or named wrongly, at the field that names it. Loads none."""
    if not models_of(step):
        return
    import corpusmill.training.serving.openers  # noqa: F401  registers the kinds of models
    from corpusmill.transforms.generate.model import digest_of

    for (name, spec), (_, bound) in zip(models_of(step), models_of(step.resolved(str(base_dir))), strict=True):
        try:
            digest_of(bound)
        except CorpusmillError as error:
            if not has_secret(spec):  # which was noted before
                mistakes.add((*at, name), f"`{name}`: {str(error).rstrip('.')}")


def _place_of(value: str, fields: Any) -> tuple[str | int, ...]:
    """Where a value stands in a step's fields, which may be mappings and lists; () if it does not."""
    pairs = (
        fields.items() if isinstance(fields, dict) else enumerate(fields) if isinstance(fields, list | tuple) else ()
    )
    for name, inner in pairs:
        if inner == value:
            return (name,)
        if deeper := _place_of(value, inner):
            return (name, *deeper)
    return ()


def check_output(path: str, inputs: list[str], mistakes: Mistakes, base_dir: Path) -> None:
    """A mistake if the output cannot be a folder, or if a source would read it."""
    at = ("output", "path")
    if not is_local(path):
        if not path.partition("://")[2].partition("/")[2].strip("/"):
            mistakes.add(at, f"`path`: {path} is a whole bucket", "name a folder in it, as in s3://bucket/docs")
        for source in inputs:
            prefix = source.split("*")[0].split("?")[0].split("[")[0]
            whole = "**" in source or prefix == source
            if path.rstrip("/") == source.rstrip("/") or (whole and path.startswith(prefix.rstrip("/") + "/")):
                mistakes.add(
                    at, f"`path`: the source {source} would read the output {path}", "put the output beside the sources"
                )
        return
    full = local(path, base_dir)
    if full.is_file():
        mistakes.add(at, f"`path`: {path} is a file", "name a folder")
        return
    for source in inputs:
        if is_local(source) and _reads(str(local(source, base_dir)), str(full)):
            mistakes.add(
                at, f"`path`: the source {source} would read the output {path}", "put the output beside the sources"
            )
    foreign = [n for n in ("README.md", "SHA256SUMS") if (full / n).exists() and not (full / "snapshots").exists()]
    if foreign:
        mistakes.add(
            at, f"`path`: {path} holds a {foreign[0]}, which the dataset's own would replace", "name a new folder"
        )


_MADE = ("README.md", "SHA256SUMS", "events.jsonl", "history.jsonl", "privacy.jsonl", "snapshots/000001.json") + tuple(
    f"{folder}/a-0.{kind}"
    for folder in ("cut", "data", "dropped", "pairs", "quarantine", "scores/a", "suppressed")
    for kind in ("parquet", "arrow")
)
"""What a dataset holds, one of each kind."""


def _reads(source: str, output: str) -> bool:
    """Whether a file, folder or pattern leads to something that the dataset in the folder `output` writes, links followed."""
    pattern = has_magic(source) and not os.path.exists(source)
    root = glob_root(source) if pattern else source
    rest = source[len(root) :].strip("/") if pattern else "**"
    head = os.path.realpath(root).rstrip("/") + "/"
    made = [os.path.join(os.path.realpath(output), name) for name in _MADE]
    try:
        wanted = [translate(rest), translate(rest + "/**")]
    except RecipeError:  # a pattern that is wrong, as `check_input` says
        return False
    return any(
        m + "/" == head or any(w.match(m[len(head) :]) for w in wanted) for m in made if (m + "/").startswith(head)
    )


def _first_real(path: Path) -> Path:
    """The deepest folder on the way to `path` that exists."""
    for parent in path.parents:
        if parent.is_dir():
            return parent
    return Path("/")
