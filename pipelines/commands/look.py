"""The verb that shows documents before and after a step."""

from __future__ import annotations

from dataclasses import asdict

import click

from corpusmill.pipelines.commands import JSON, SET, SNAPSHOT, print_json


@click.command(short_help="Show documents before and after a step.")
@click.argument("origin", metavar="DIR|RECIPE")
@click.option("--step", metavar="NAME", help="What this step did; default: every step.")
@click.option("--id", "document", metavar="ID", help="This document, and what is derived from it.")
@click.option("-n", "count", type=click.IntRange(1), default=3, show_default=True, metavar="N", help="Documents.")
@SNAPSHOT
@SET
@JSON
def look(
    origin: str,
    step: str | None,
    document: str | None,
    count: int,
    snapshot: int | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show documents before and after, side by side.

    Of a dataset DIR: derived documents beside their parents. Of a RECIPE: what a step does to documents of its sources,
    without running it.
    """
    from corpusmill.pipelines.operations.look import of_dataset, of_recipe
    from corpusmill.pipelines.report.look import render
    from corpusmill.transforms import storage

    if storage.is_dir(origin):
        from corpusmill.pipelines.dataset.snapshot import Dataset

        if overrides:
            raise click.UsageError("--set goes with a recipe")
        seen = of_dataset(Dataset(origin), snapshot, step, document, count)
    else:
        from corpusmill.pipelines.recipe.model import load

        if snapshot:
            raise click.UsageError("--snapshot goes with a dataset directory")
        seen = of_recipe(load(origin, overrides), step, document, count)
    if as_json:
        print_json({"documents": [asdict(p) for p in seen.pairs], "left_out": seen.left_out})
    else:
        click.echo(render(seen))
