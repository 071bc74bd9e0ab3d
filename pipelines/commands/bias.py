"""The verb bias: how a snapshot speaks of people, and which groups its filters drop."""

from __future__ import annotations

import click

from corpusmill.pipelines.commands import DATASET, JSON, SNAPSHOT, print_json
from corpusmill.pipelines.wording import say, size


@click.command()
@DATASET
@click.option("--against", metavar="DIR2", help="A dataset whose rates are the reference.")
@SNAPSHOT
@click.option(
    "--lexicon",
    "lexicons",
    metavar="FILE",
    multiple=True,
    help="A lexicon, in place of its language's; repeatable.",
)
@click.option(
    "--sample",
    type=click.IntRange(100),
    default=20_000,
    show_default=True,
    metavar="N",
    help="Documents that are looked at.",
)
@click.option("--no-filters", is_flag=True, help="Do not read the sources again for what each filter dropped.")
@click.option("--html", metavar="FILE", help="Write one HTML page, too.")
@JSON
def bias(
    dataset: str,
    against: str | None,
    snapshot: int | None,
    lexicons: tuple[str, ...],
    sample: int,
    no_filters: bool,
    html: str | None,
    as_json: bool,
) -> None:
    """Show how DIR speaks of people: who is mentioned, beside which words, and which groups each filter drops more often.

    Rates have 95 % intervals, and tests keep their level over the whole table. A figure is evidence, and no verdict.
    """
    from corpusmill.pipelines.coverage.bias import measure
    from corpusmill.pipelines.dataset.snapshot import Dataset
    from corpusmill.transforms.people.lexicon import load

    reference = Dataset(against) if against else None
    found = measure(Dataset(dataset), snapshot, reference, load(lexicons), sample, not no_filters)
    if html:
        from corpusmill.pipelines.report.coverage_page import write_bias

        say(f"{html} is written: {size(write_bias(found, html))}.", err=True)
    if as_json:
        print_json(found.to_dict())
        return
    from corpusmill.pipelines.report.bias import render_bias

    say(render_bias(found))
