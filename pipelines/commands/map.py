"""The verb map: what a snapshot holds and lacks."""

from __future__ import annotations

import click

from corpusmill.pipelines.commands import DATASET, JSON, SNAPSHOT, print_json
from corpusmill.pipelines.wording import say, size


@click.command("map")
@DATASET
@click.option(
    "--against", metavar="DIR2", help="A dataset to compare with: what it has and DIR lacks, and the other way round."
)
@SNAPSHOT
@click.option(
    "--clusters", type=click.IntRange(1, 4_096), default=128, show_default=True, metavar="N", help="Clusters, about."
)
@click.option(
    "--sample",
    type=click.IntRange(100),
    default=50_000,
    show_default=True,
    metavar="N",
    help="Documents that are looked at.",
)
@click.option("--html", metavar="FILE", help="Write one HTML page, too.")
@JSON
def map_(
    dataset: str, against: str | None, snapshot: int | None, clusters: int, sample: int, html: str | None, as_json: bool
) -> None:
    """Show what DIR is about: its topics with their words and examples, holes, diversity, and how snapshots moved.

    Documents are sampled by their ids, so the figures are the same for any sharding. Nothing is downloaded.
    """
    from corpusmill.pipelines.coverage.map import make_map
    from corpusmill.pipelines.dataset.snapshot import Dataset

    reference = Dataset(against) if against else None
    found = make_map(Dataset(dataset), snapshot, reference, clusters, sample)
    if html:
        from corpusmill.pipelines.report.coverage_page import write_map

        say(f"{html} is written: {size(write_map(found, html))}.", err=True)
    if as_json:
        print_json(found.to_dict())
        return
    from corpusmill.pipelines.report.coverage import render_map

    say(render_map(found))
