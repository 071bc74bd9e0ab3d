"""The verbs of the command line. These modules import click alone; what a verb needs is imported when it runs."""

from __future__ import annotations

import json
import math
from typing import Any

import click

NOTHING_NEW = 3
"""What a verb exits with where all was done before: a success to schedulers, told apart from work."""

RECIPE = click.argument("recipe", metavar="RECIPE")
DATASET = click.argument("dataset", metavar="DIR")
SET = click.option(
    "--set", "overrides", metavar="A.B=C", multiple=True, help="Override a field of the recipe; repeatable."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
WORKERS = click.option("--workers", type=click.IntRange(1), metavar="N", help="Workers; default: all cores.")
SNAPSHOT = click.option(
    "--snapshot", type=click.IntRange(1), metavar="N", help="Number of a snapshot; default: the newest."
)


class Finite(click.FloatRange):
    """A number in a range. `nan` is in every range of click's, and below no bound of a budget."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number, or a usage error."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return found


def print_json(data: Any) -> None:
    """`data` on standard output, as JSON."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))
