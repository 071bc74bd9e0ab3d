"""Verbs that read snapshots: log, show, diff, files, verify."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from corpusmill.pipelines.commands import DATASET, JSON, SNAPSHOT, print_json
from corpusmill.pipelines.wording import say, some


def _say_private(manifests: Sequence[Mapping[str, Any]]) -> None:
    """Say below figures that they are of private text, where they are."""
    from corpusmill.pipelines.report.statistics import private_note

    for manifest in manifests:
        if note := private_note(manifest):
            say("\n" + note)


@click.command()
@DATASET
@JSON
def log(dataset: str, as_json: bool) -> None:
    """List the snapshots of DIR, oldest first."""
    from corpusmill.pipelines.dataset.snapshot import Dataset
    from corpusmill.pipelines.report.snapshot import notes, render_log

    opened = Dataset(dataset)
    manifests = [opened.manifest(n) for n in opened.numbers]
    snapshots = [s | {"notes": note} for s, note in zip(opened.snapshots(), notes(manifests), strict=True)]
    if as_json:
        print_json(snapshots)
        return
    say(render_log(snapshots))
    _say_private(manifests[-1:])


@click.command()
@DATASET
@SNAPSHOT
@click.option("--html", metavar="FILE", help="Write one HTML page, as `report` does.")
@JSON
def show(dataset: str, snapshot: int | None, html: str | None, as_json: bool) -> None:
    """Show a snapshot of DIR: size, recipe and funnel."""
    from corpusmill.pipelines.dataset.snapshot import Dataset
    from corpusmill.pipelines.operations.private_statistics import releases
    from corpusmill.pipelines.report.snapshot import render_show

    opened = Dataset(dataset)
    manifest = opened.manifest(snapshot)
    if html:
        from corpusmill.pipelines.report.html import write

        write(opened, snapshot, html)
        say(f"{html} is written.", err=True)
    if as_json:
        print_json(manifest)
    elif not html:
        say(render_show(dataset, manifest))
        _say_private([manifest])
        if manifest.get("mixture"):
            from corpusmill.pipelines.report import mixture

            say("\n" + mixture.render(manifest["mixture"], manifest["funnel"]))
        for release in releases(dataset, manifest["number"]):
            from corpusmill.pipelines.report import statistics

            say(f"\n{statistics.render(release)}\n{statistics.EXACT}")


@click.command()
@DATASET
@click.argument("a", type=click.IntRange(1), metavar="A")
@click.argument("b", type=click.IntRange(1), metavar="B")
@JSON
def diff(dataset: str, a: int, b: int, as_json: bool) -> None:
    """Compare snapshots A and B of DIR: documents added, removed and changed."""
    from corpusmill.pipelines.dataset.snapshot import Dataset
    from corpusmill.pipelines.report.snapshot import render_diff

    opened = Dataset(dataset)
    changes = opened.diff(a, b)
    if as_json:
        print_json(changes)
        return
    say(render_diff(changes))
    _say_private([opened.manifest(b)])


@click.command()
@DATASET
@SNAPSHOT
@JSON
def files(dataset: str, snapshot: int | None, as_json: bool) -> None:
    """List the full paths of a snapshot's shards, one a line, for other tools."""
    from corpusmill.pipelines.dataset.snapshot import Dataset

    paths = Dataset(dataset).files(snapshot)
    if as_json:
        print_json(paths)
    elif paths:
        say("\n".join(paths))


@click.command()
@DATASET
@SNAPSHOT
@click.option("--all", "every", is_flag=True, help="Verify every snapshot, not only the newest.")
@JSON
def verify(dataset: str, snapshot: int | None, every: bool, as_json: bool) -> None:
    """Reread a snapshot of DIR and compare it with its digests. Exits with 1 if something differs.

    DIR may also be a folder that `corpusmill export` wrote.
    """
    import os

    from corpusmill.pipelines.dataset.snapshot import Dataset
    from corpusmill.pipelines.operations.downstream import EXPORT
    from corpusmill.pipelines.report.progress import Display
    from corpusmill.transforms.errors import VerifyError

    if every and snapshot:
        raise click.UsageError("--all and --snapshot exclude each other")
    if os.path.exists(os.path.join(dataset, EXPORT)):
        from corpusmill.pipelines.operations.export import problems as faults

        with Display(brief=True) as display:
            found = faults(dataset, display.update)
        if as_json:
            print_json({"ok": not found, "snapshot": None, "problems": found})
        else:
            say("\n".join([*found, f"{dataset}: {some(len(found), 'problem') if found else 'all as exported'}"]))
        if found:
            raise click.exceptions.Exit(VerifyError.exit_code)
        return
    opened = Dataset(dataset)
    damaged = False
    results = []
    for number in opened.numbers if every else [opened.manifest(snapshot)["number"]]:
        manifest = opened.manifest(number)
        with Display(brief=True) as display:
            problems = opened.verify(number, display.update)
        damaged = damaged or bool(problems)
        results.append({"ok": not problems, "snapshot": number, "problems": problems})
        if not as_json:
            files = len(manifest["files"]) + sum(len(t) for t in manifest.get("tables", {}).values())
            summary = some(len(problems), "problem") if problems else "all as committed"
            for problem in problems:
                say(problem)
            held = f"{some(files, 'file')}, {some(manifest['documents'], 'row')}"
            say(f"snapshot {number}: {held}: {summary}")
    if as_json:
        print_json(results if every else results[0])
    if damaged:
        raise click.exceptions.Exit(VerifyError.exit_code)
