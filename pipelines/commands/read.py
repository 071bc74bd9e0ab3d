"""Verbs that read a dataset: log, show, diff, why, verify."""

from __future__ import annotations

from pathlib import Path

import click

from corpusmill.pipelines.commands import DATASET, JSON, SNAPSHOT, print_json


@click.command()
@DATASET
@JSON
def log(dataset: str, as_json: bool) -> None:
    """List the snapshots of DIR, oldest first."""
    from corpusmill.pipelines.dataset.snapshot import Dataset
    from corpusmill.pipelines.report.snapshot import render_log

    snapshots = Dataset(dataset).snapshots()
    print_json(snapshots) if as_json else click.echo(render_log(snapshots))


@click.command(short_help="Show a snapshot: size, recipe, funnel.")
@DATASET
@SNAPSHOT
@click.option("--html", metavar="FILE", help="Write the funnel and examples as one HTML page.")
@JSON
def show(dataset: str, snapshot: int | None, html: str | None, as_json: bool) -> None:
    """Show a snapshot of DIR: size, recipe and funnel."""
    from corpusmill.pipelines.dataset.snapshot import Dataset
    from corpusmill.pipelines.operations.private_statistics import releases
    from corpusmill.pipelines.report.snapshot import render_show
    from corpusmill.transforms.errors import DatasetError

    opened = Dataset(dataset)
    manifest = opened.manifest(snapshot)
    if html:
        from corpusmill.pipelines.report.html import page

        try:
            Path(html).write_text(page(opened, manifest), encoding="utf-8")
        except OSError as error:
            raise DatasetError(f"{html}: cannot be written: {error.strerror}; name another file") from None
        click.echo(f"{html} is written.", err=True)
    if as_json:
        print_json(manifest)
    elif not html:
        click.echo(render_show(dataset, manifest))
        if manifest.get("mixture"):
            from corpusmill.pipelines.report import mixture

            click.echo("\n" + mixture.render(manifest["mixture"]))
        for release in releases(dataset, manifest["number"]):
            from corpusmill.pipelines.report import statistics

            click.echo(f"\n{statistics.render(release)}\n{statistics.EXACT}")


@click.command(short_help="Compare snapshots A and B of DIR.")
@DATASET
@click.argument("a", type=click.IntRange(1), metavar="A")
@click.argument("b", type=click.IntRange(1), metavar="B")
@JSON
def diff(dataset: str, a: int, b: int, as_json: bool) -> None:
    """Compare snapshots A and B of DIR: documents added, removed and changed."""
    from corpusmill.pipelines.dataset.snapshot import Dataset
    from corpusmill.pipelines.report.snapshot import render_diff

    found = Dataset(dataset).diff(a, b)
    print_json(found) if as_json else click.echo(render_diff(found))


@click.command(short_help="Tell what happened to one document.")
@DATASET
@click.argument("document", metavar="ID")
@SNAPSHOT
@JSON
def why(dataset: str, document: str, snapshot: int | None, as_json: bool) -> None:
    """Tell what happened to the document ID. Exits with 1 if it is unknown."""
    from corpusmill.pipelines.dataset.snapshot import Dataset
    from corpusmill.pipelines.report.snapshot import render_why

    found = Dataset(dataset).why(document, snapshot)
    print_json(found) if as_json else click.echo(render_why(found))
    if found["outcome"] == "unknown":
        raise click.exceptions.Exit(1)


@click.command(short_help="Reread DIR against its digests.")
@DATASET
@SNAPSHOT
@click.option("--all", "every", is_flag=True, help="Every snapshot, not only the newest.")
@JSON
def verify(dataset: str, snapshot: int | None, every: bool, as_json: bool) -> None:
    """Reread all of a snapshot of DIR against its digests. Exits with 1 if something differs."""
    from corpusmill.pipelines.dataset.snapshot import Dataset
    from corpusmill.pipelines.wording import some
    from corpusmill.transforms.errors import VerifyError

    if every and snapshot:
        raise click.UsageError("--all and --snapshot exclude each other")
    opened = Dataset(dataset)
    damaged = False
    results = []
    for number in opened.numbers if every else [opened.manifest(snapshot)["number"]]:
        manifest = opened.manifest(number)
        problems = opened.verify(number)
        damaged = damaged or bool(problems)
        results.append({"ok": not problems, "snapshot": number, "problems": problems})
        if not as_json:
            files = len(manifest["files"]) + sum(len(t) for t in manifest.get("tables", {}).values())
            summary = some(len(problems), "problem") if problems else "all as committed"
            for problem in problems:
                click.echo(problem)
            held = f"{some(files, 'file')}, {some(manifest['documents'], 'row')}"
            click.echo(f"snapshot {number}: {held}: {summary}")
    if as_json:
        print_json(results if every else results[0])
    if damaged:
        raise click.exceptions.Exit(VerifyError.exit_code)
