"""Verbs about single documents: why, look."""

from __future__ import annotations

from dataclasses import asdict

import click

from corpusmill.pipelines.commands import DATASET, JSON, SET, SNAPSHOT, print_json
from corpusmill.pipelines.wording import say


@click.command()
@DATASET
@click.argument("document", metavar="ID")
@SNAPSHOT
@JSON
def why(dataset: str, document: str, snapshot: int | None, as_json: bool) -> None:
    """Say what happened to the document ID. Exits with 1 if it is unknown."""
    from corpusmill.pipelines.dataset.snapshot import Dataset
    from corpusmill.pipelines.report.document import render_why

    answer = Dataset(dataset).why(document, snapshot)
    print_json(answer) if as_json else say(render_why(answer))
    if answer["outcome"] == "unknown":
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("origin", metavar="DIR|RECIPE")
@click.option("--step", metavar="NAME", help="Show what this step did; default: every step.")
@click.option("--id", "document", metavar="ID", help="Show this document, and what is derived from it.")
@click.option("-n", "count", type=click.IntRange(1), default=3, show_default=True, metavar="N", help="How many.")
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
    """Show documents before and after a step, side by side.

    For a dataset DIR: derived documents beside their parents. For a RECIPE: what a step does to a few documents of the
    sources, without running the recipe.
    """
    from corpusmill.pipelines.operations.look import of_dataset, of_recipe
    from corpusmill.pipelines.report.look import render
    from corpusmill.transforms import storage

    if storage.is_dir(origin):
        from corpusmill.pipelines.dataset.snapshot import Dataset

        if overrides:
            raise click.UsageError("--set goes with a recipe")
        examples = of_dataset(Dataset(origin), snapshot, step, document, count)
    else:
        from corpusmill.pipelines.recipe.model import load

        if snapshot:
            raise click.UsageError("--snapshot goes with a dataset directory")
        examples = of_recipe(load(origin, overrides), step, document, count)
    if as_json:
        print_json({"documents": [asdict(p) for p in examples.pairs], "left_out": examples.left_out})
    else:
        say(render(examples))
