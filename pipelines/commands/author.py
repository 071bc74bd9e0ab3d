"""Verbs that write and check recipes and other settings files: init, check, schema."""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from corpusmill.pipelines.commands import JSON, NO_USER_CODE, RECIPE, SET, Named, print_json
from corpusmill.pipelines.wording import say

if TYPE_CHECKING:
    from corpusmill.transforms.settings.files import SettingsFile
    from corpusmill.transforms.settings.yaml_positions import Problem

SETTINGS_FILES = {
    "train": "corpusmill.training.settings:FILE",
    "selftrain": "corpusmill.pipelines.selftrain.settings:FILE",
    "party": "corpusmill.privacy.secure.settings:PARTY",
    "job": "corpusmill.privacy.secure.settings:JOB",
}
"""Kinds of settings files beside the recipe -> their SettingsFile. Each is an option of the verbs here."""


def kinds(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Options that name a kind of settings file; the argument `kind` is None for a recipe."""
    for name in reversed(SETTINGS_FILES):
        verb = click.option(f"--{name}", "kind", flag_value=name, help=f"A {name}.yaml instead of a recipe.")(verb)
    return verb


def _settings_file(kind: str) -> SettingsFile[Any]:
    module, _, name = SETTINGS_FILES[kind].partition(":")
    return getattr(importlib.import_module(module), name)


@click.command()
@click.argument("path", required=False, type=Named(), metavar="[PATH]")
@click.option(
    "--source", metavar="PATH", help="File, folder, glob or URI to read; default: the documentation on this machine."
)
@click.option(
    "--recipe",
    "shipped",
    type=click.Choice(["web", "training", "private"]),
    help="Write the recipe for this purpose instead of the starter.",
)
@kinds
@click.option("--step", is_flag=True, help="A step of your own and its test (my_filter.py) instead of a recipe.")
def init(path: str | None, source: str | None, shipped: str | None, kind: str | None, step: bool) -> None:
    """Write a commented recipe, or another settings file, to PATH (corpus.yaml, or KIND.yaml)."""
    if shipped is not None and (source is not None or kind is not None or step):
        raise click.UsageError("--recipe goes alone, without --source, --step or a settings file")
    if shipped is not None:
        _init_shipped(path or f"{shipped}.yaml", shipped)
        return
    if step:
        if source is not None or kind is not None:
            raise click.UsageError(f"--step goes alone, without {'--source' if kind is None else f'--{kind}'}")
        _init_step(path or "my_filter.py")
        return
    path = path or f"{kind or 'corpus'}.yaml"
    typed = shlex.quote(path)
    if kind is not None:
        if source is not None:
            raise click.UsageError(f"--source goes with a recipe; a {kind}.yaml has no sources")
        _write_new(path, _settings_file(kind).template())
        say(f"{path} is written. Next: edit it, then corpusmill check {typed} --{kind}")
        return
    from corpusmill.pipelines.recipe.starter import starter
    from corpusmill.transforms import secrets
    from corpusmill.transforms.errors import RecipeError

    if source is not None and not source.strip():
        raise click.UsageError("--source is empty: name what to read, or omit the option")
    if source and secrets.has_secret(source):
        raise RecipeError(f"{secrets.shown(source)}: {secrets.ADVICE}")
    name = "".join(c if c.isascii() and c.isalnum() else "-" for c in Path(path).stem).strip("-") or "corpus"
    _write_new(path, starter(name, source, Path(path).parent))
    say(f"{path} is written. Next: corpusmill check {typed}, then corpusmill run {typed}")


def _init_shipped(path: str, shipped: str) -> None:
    """Write one of the recipes that corpusmill ships."""
    from importlib.resources import files

    folder = files("corpusmill.pipelines").joinpath("recipes")
    _write_new(path, folder.joinpath(f"{shipped}.yaml").read_text(encoding="utf-8"))
    say(f"{path} is written. Next: name your sources in it, then corpusmill check {shlex.quote(path)}")


def _init_step(path: str) -> None:
    from corpusmill.pipelines.recipe.starter_step import starter_step

    files = starter_step(path)
    for name, text in files.items():
        _write_new(name, text)
    file, test = (shlex.quote(name) for name in files)
    say(f"{file} and {test} are written. Next: python -m pytest {test}; its first lines say how a recipe uses the step")


def _write_new(path: str, text: str) -> None:
    """Write a file that does not exist yet. Raises RecipeError."""
    from corpusmill.transforms.errors import RecipeError

    file = Path(path)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        raise RecipeError(f"{path}: cannot be written: {file.parent} is not a folder; name another file") from None
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise RecipeError(f"{path} exists and is left as it is; name another file, or remove it first") from None
    except OSError as error:
        raise RecipeError(f"{path}: cannot be written: {error.strerror}; name another file") from None


@click.command()
@RECIPE
@SET
@kinds
@NO_USER_CODE
@JSON
def check(recipe: str, overrides: tuple[str, ...], kind: str | None, as_json: bool) -> None:
    """Report every mistake of RECIPE, or of another settings file, at once and with its line. Runs no step.

    Modules of your own that the recipe names are imported. Before you check a stranger's recipe, read them, or give
    --no-user-code.
    """
    from corpusmill.transforms.settings.mistakes import render

    if kind is not None:
        file = _settings_file(kind)
        settings, problems = file.examine(recipe, overrides)
        if as_json:
            values = {"settings": settings.model_dump(mode="json")} if settings else {}
            print_json({"ok": settings is not None, "mistakes": _listed(problems), **values})
        else:
            say(f"{recipe} has no mistakes." if settings else render(problems, file.noun), err=settings is None)
        _exit_unless(settings is not None)
        return
    from corpusmill.pipelines.recipe.certify import summary
    from corpusmill.pipelines.recipe.model import examine
    from corpusmill.pipelines.recipe.source_checks import notes

    checked, problems = examine(recipe, overrides)
    hints = [line for source in checked.sources for line in notes(source, checked.base_dir)] if checked else []
    if as_json:
        digest = {"recipe": checked.canonical(), "digest": checked.digest(), "notes": hints} if checked else {}
        print_json({"ok": checked is not None, "mistakes": _listed(problems), **digest})
    elif checked is None:
        say(render(problems), err=True)
    else:
        steps = ", ".join(s.name for s in checked.steps) or "none: documents pass unchanged"
        sources = ", ".join(s.name for s in checked.sources)
        say(f"{recipe} has no mistakes.\nsources  {sources}\nsteps    {steps}\noutput   {checked.dataset}")
        if line := summary(checked):
            say(f"privacy  {line}")
        for line in hints:
            say(f"note     {line}")
    _exit_unless(checked is not None)


def _listed(problems: list[Problem]) -> list[dict[str, Any]]:
    """Mistakes as JSON data."""
    return [
        {"file": p.spot.document, "line": p.spot.line, "column": p.spot.column, "what": p.what, "advice": p.advice}
        for p in problems
    ]


def _exit_unless(right: bool) -> None:
    from corpusmill.transforms.errors import RecipeError

    if not right:
        raise click.exceptions.Exit(RecipeError.exit_code)


@click.command()
@kinds
def schema(kind: str | None) -> None:
    """Print the JSON schema of a recipe, or of another settings file, for editors."""
    if kind is not None:
        print_json(_settings_file(kind).schema())
        return
    from corpusmill.pipelines.recipe.json_schema import recipe_schema

    print_json(recipe_schema())
