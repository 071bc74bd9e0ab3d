"""The verbs of the command line, a group of them a module; `table` lists them.

These modules import click alone. Each verb imports what it needs when it runs, which keeps `corpusmill --help` quick.
Options that several verbs share are defined here.
"""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import click

from corpusmill.pipelines.wording import say

NOTHING_NEW = 3
"""Exit code of a verb that found its work done already. Schedulers count it as success."""

RECIPE = click.argument("recipe", metavar="RECIPE")
DATASET = click.argument("dataset", metavar="DIR")
SET = click.option(
    "--set", "overrides", metavar="A.B=C", multiple=True, help="Override a field of the recipe; repeatable."
)
NO_USER_CODE = click.option(
    "--no-user-code",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=lambda context, option, given: _refuse_user_code(context) if given else None,
    help="Refuse a recipe that names Python modules; `check` and `plan` import them, too.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
WORKERS = click.option("--workers", type=click.IntRange(1), metavar="N", help="Workers; default: all cores.")
SNAPSHOT = click.option(
    "--snapshot", type=click.IntRange(1), metavar="N", help="Number of a snapshot; default: the newest."
)


def _refuse_user_code(context: click.Context) -> None:
    from corpusmill.pipelines.recipe import user_modules

    context.with_resource(user_modules.refused())


class Finite(click.FloatRange):
    """A finite number in a range. click.FloatRange accepts `nan` in every range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number, or a usage error."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class Named(click.ParamType[str]):
    """The name of a file or folder to write. stores: whether it may lie in an object store."""

    name = "path"

    def __init__(self, stores: bool = False) -> None:
        self.stores = stores

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The name, or a usage error."""
        if not value:
            self.fail("the name is empty; name what to write.", param, ctx)
        if "://" in value and not self.stores:
            self.fail(f"{value} is an address; name a file of this machine.", param, ctx)
        return value


YES = click.option("--yes", is_flag=True, help="Do not ask before anything is removed.")


def confirm(question: str, yes: bool) -> None:
    """Ask before something is removed, if a person sits at the terminal. Exits with 1 if the answer is no."""
    if yes or not _at_terminal():
        return
    say(f"{question} [y/N] ", nl=False)
    if _answer().strip().lower() not in ("y", "yes"):
        say("Nothing was changed.")
        raise click.exceptions.Exit(1)


def _at_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _answer() -> str:
    return sys.stdin.readline()


def check_set(is_dataset: bool, overrides: tuple[str, ...]) -> None:
    """Raise a usage error for --set on a dataset, which has no settings to change."""
    if is_dataset and overrides:
        raise click.UsageError("--set goes with a recipe")


def check_options(options: tuple[str, ...]) -> None:
    """Raise a usage error if the Beam options begin with a second recipe."""
    if options and not options[0].startswith("-"):
        raise click.UsageError(f"name one recipe; `{options[0]}` is a second one. Beam options follow `--`")


def print_json(data: Any) -> None:
    """Print `data` on standard output as JSON; characters beyond ASCII are escaped where the stream cannot hold them.

    Control and bidi characters in strings are always escaped: a program reads them back, and a terminal does not obey them.
    """
    text = json.dumps(data, indent=2, ensure_ascii=not _is_unicode(), default=str)
    say(text, escape=True)


def _is_unicode() -> bool:
    return (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "").startswith("utf")
