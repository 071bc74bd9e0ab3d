"""The verb selftrain: rounds of teacher and student on unlabelled text."""

from __future__ import annotations

import click

from corpusmill.pipelines.commands import JSON, SET, print_json
from corpusmill.pipelines.wording import say


@click.command()
@click.argument("recipe", metavar="RECIPE")
@SET
@click.option(
    "--workers", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="Workers for labelling."
)
@JSON
def selftrain(recipe: str, overrides: tuple[str, ...], workers: int, as_json: bool) -> None:
    """Self-train as RECIPE (a selftrain.yaml) says. The best student is kept only if held-out labels show that
    it is better.

    The same command continues a killed run. When all rounds are done, it prints the result again and runs no model.
    """
    from corpusmill.pipelines.selftrain.rounds import load
    from corpusmill.pipelines.selftrain.rounds import selftrain as run

    report = run(load(recipe, overrides), workers, (lambda line: None) if as_json else say)
    if as_json:
        print_json(report)
    elif "test" in report:
        test = report["test"]
        say(
            f"test, {test['documents']:,} documents: {test['before']:.4f} -> {test['after']:.4f}, difference "
            f"{test['difference']:+.4f}, standard error {test['error']:.4f}"
        )
