"""Verbs that write and check recipes: init, check, schema."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from corpusmill.pipelines.commands import JSON, RECIPE, SET, print_json


@click.command()
@click.argument("path", default="corpus.yaml", metavar="[PATH]")
@click.option(
    "--source", metavar="PATH", help="File, folder, glob or URI to read; default: the documentation on this machine."
)
def init(path: str, source: str | None) -> None:
    """Write a commented recipe to PATH (corpus.yaml)."""
    from corpusmill.pipelines.recipe.starter import starter
    from corpusmill.transforms.errors import RecipeError
    from corpusmill.transforms.storage.paths import SECRET_ADVICE, has_secret, without_secret

    if source is not None and not source.strip():
        raise click.UsageError("--source is empty: name what to read, or leave it out")
    if source and has_secret(source):
        raise RecipeError(f"{without_secret(source)}: {SECRET_ADVICE}")
    file = Path(path)
    name = "".join(c if c.isascii() and c.isalnum() else "-" for c in file.stem).strip("-") or "corpus"
    text = starter(name, source)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        raise RecipeError(f"{path}: cannot be written: {file.parent} is no folder; name another file") from None
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise RecipeError(f"{path} exists and is left as it is; name another file, or remove it first") from None
    except OSError as error:
        raise RecipeError(f"{path}: cannot be written: {error.strerror}; name another file") from None
    typed = shlex.quote(path)
    click.echo(f"{path} is written. Next: corpusmill check {typed}, then corpusmill run {typed}")


@click.command(short_help="Say every mistake of RECIPE at once.")
@RECIPE
@SET
@JSON
def check(recipe: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Say every mistake of RECIPE at once, with its line; runs nothing."""
    from corpusmill.pipelines.recipe.model import examine
    from corpusmill.transforms.errors import RecipeError
    from corpusmill.transforms.settings.mistakes import render

    found, problems = examine(recipe, overrides)
    if as_json:
        listed = [
            {"file": p.spot.document, "line": p.spot.line, "column": p.spot.column, "what": p.what, "advice": p.advice}
            for p in problems
        ]
        digest = {"recipe": found.canonical(), "digest": found.digest()} if found else {}
        print_json({"ok": found is not None, "mistakes": listed, **digest})
    elif found is None:
        click.echo(render(problems), err=True)
    else:
        steps = ", ".join(s.name for s in found.steps) or "none: documents pass as they are"
        click.echo(f"{recipe} is right.")
        click.echo(f"sources  {', '.join(s.name for s in found.sources)}\nsteps    {steps}\noutput   {found.dataset}")
        from corpusmill.pipelines.recipe.certify import summary

        if said := summary(found):
            click.echo(f"privacy  {said}")
    if found is None:
        raise click.exceptions.Exit(RecipeError.exit_code)


@click.command()
def schema() -> None:
    """Print the JSON schema of a recipe, for editors."""
    from corpusmill.pipelines.recipe.json_schema import recipe_schema

    print_json(recipe_schema())
