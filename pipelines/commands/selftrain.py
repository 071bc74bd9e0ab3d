"""The verb selftrain: rounds of teacher and student on unlabelled text."""

from __future__ import annotations

import click

from corpusmill.pipelines.commands import JSON, SET, print_json


@click.command(short_help="Label text with a model and train on it.")
@click.argument("recipe", metavar="RECIPE")
@SET
@click.option(
    "--workers", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="Workers that label."
)
@JSON
def selftrain(recipe: str, overrides: tuple[str, ...], workers: int, as_json: bool) -> None:
    """Self-training as RECIPE (a selftrain.yaml) says; a round is kept only if its held-out labels say so.

    The same command goes on where a run was killed; when all is done, it asks no model and says again what came of it.
    """
    from corpusmill.pipelines.selftrain.rounds import load
    from corpusmill.pipelines.selftrain.rounds import selftrain as run

    report = run(load(recipe, overrides), workers, (lambda line: None) if as_json else click.echo)
    if as_json:
        print_json(report)
    elif "test" in report:
        test = report["test"]
        click.echo(
            f"test, {test['documents']:,} documents: {test['before']:.4f} -> {test['after']:.4f}, difference "
            f"{test['difference']:+.4f}, standard error {test['error']:.4f}"
        )
