"""The verb report: one HTML file about a dataset, to open, mail or keep."""

from __future__ import annotations

import click

from corpusmill.pipelines.commands import DATASET, SNAPSHOT
from corpusmill.pipelines.wording import say, size


@click.command()
@DATASET
@click.option("-o", "out", metavar="FILE", default="report.html", show_default=True, help="File to write.")
@SNAPSHOT
@click.option(
    "--model", "models", metavar="DIR", multiple=True, help="Show the curves of this training run; repeatable."
)
def report(dataset: str, out: str, snapshot: int | None, models: tuple[str, ...]) -> None:
    """Write one HTML page about a snapshot of DIR: recipe, funnel, scores, examples, near-duplicates, edits, history.

    The page needs no network and runs no script. Texts of dropped documents are read again from the sources,
    and redacted where the recipe redacts.
    """
    from corpusmill.pipelines.dataset.snapshot import Dataset
    from corpusmill.pipelines.report.html import write

    say(f"{out} is written: {size(write(Dataset(dataset), snapshot, out, models))}.")
