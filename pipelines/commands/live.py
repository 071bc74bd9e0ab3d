"""Verbs of a dataset that lives: forget, rollback, gc, history, schedule."""

from __future__ import annotations

from pathlib import Path

import click

from corpusmill.pipelines.commands import DATASET, JSON, RECIPE, SET, WORKERS, print_json


@click.command(short_help="Take documents out of DIR, for good.")
@DATASET
@click.option("--ids", metavar="FILE", help="Ids, one a line (or JSON lines, or Parquet, with `id`).")
@click.option("--user", "users", metavar="U", multiple=True, help="All documents of a user; repeatable.")
@click.option("--source", "sources", metavar="S", multiple=True, help="All documents of a source; repeatable.")
@click.option("--purge", is_flag=True, help="Out of older snapshots and all finished work, too.")
@click.option("--recipe", metavar="RECIPE", help="The recipe to run again; default: the one that made DIR.")
@SET
@click.option("--search", metavar="DIR", multiple=True, help="Where checkpoints and datasets made from DIR may lie.")
@click.option("--signed-off-by", metavar="NAME", default="", help="Name for the report.")
@WORKERS
@JSON
def forget(
    dataset: str,
    ids: str | None,
    users: tuple[str, ...],
    sources: tuple[str, ...],
    purge: bool,
    recipe: str | None,
    overrides: tuple[str, ...],
    search: tuple[str, ...],
    signed_off_by: str,
    workers: int | None,
    as_json: bool,
) -> None:
    """Take documents, and what was derived from them, out of DIR; commit the next snapshot; write a report."""
    if not (ids or users or sources):
        raise click.UsageError("name what to forget: --ids FILE, --user U or --source S")
    if overrides and not recipe:
        raise click.UsageError("--set goes with --recipe")
    from corpusmill.pipelines.operations import forget as takedown
    from corpusmill.pipelines.recipe.model import load

    wanted = takedown.Takedown(
        ids=takedown.read_ids(ids) if ids else (),
        users=users,
        sources=sources,
        purge=purge,
        signed_off_by=signed_off_by,
        search=search,
    )
    report = takedown.forget(dataset, wanted, load(recipe, overrides) if recipe else None, workers)
    print_json(report) if as_json else click.echo(takedown.render(report))


@click.command(short_help="Commit the content of snapshot N again.")
@DATASET
@click.argument("number", type=click.IntRange(1), metavar="N")
@JSON
def rollback(dataset: str, number: int, as_json: bool) -> None:
    """Commit a new snapshot of DIR with the content of snapshot N; nothing is removed."""
    from corpusmill.pipelines.operations.rollback import rollback as back

    manifest = back(dataset, number)
    if as_json:
        print_json({"snapshot": manifest["number"], "to": number, "documents": manifest["documents"]})
    else:
        click.echo(
            f"Snapshot {manifest['number']} of {dataset} has the content of snapshot {number}: "
            f"{manifest['documents']:,} rows. Mend the recipe or its sources before the next run: it commits what they give."
        )


@click.command(short_help="Remove old snapshots and what only they need.")
@DATASET
@click.option("--keep", type=click.IntRange(1), default=5, show_default=True, metavar="K", help="Snapshots that stay.")
@click.option("--dry-run", is_flag=True, help="Remove nothing; say what would go.")
@click.option(
    "--give-up", "given_up", metavar="ID", multiple=True, help="Keep no work for this submitted run; repeatable."
)
@JSON
def gc(dataset: str, keep: int, dry_run: bool, given_up: tuple[str, ...], as_json: bool) -> None:
    """Remove all but the newest snapshots of DIR, and the files and finished work that nothing needs any more.

    While a submitted run is not committed, the work stays, for it may be in progress.
    """
    from corpusmill.pipelines.operations.gc import collect
    from corpusmill.pipelines.wording import count, size

    garbage = collect(dataset, keep, dry_run, given_up)
    if as_json:
        print_json({**garbage.to_dict(), "dry_run": dry_run})
        return
    verb = "would be removed" if dry_run else "removed"
    parts = [f"{count(len(names))} {kind}" for kind, names in garbage.files.items() if names]
    click.echo(f"{', '.join(parts) or 'nothing'} {verb}: {garbage.bytes:,} bytes ({size(garbage.bytes)}).")
    if garbage.waiting:
        click.echo(
            f"The work stays, which submitted runs may need: {', '.join(garbage.waiting)}. `corpusmill commit {dataset} --run ID` "
            f"commits one that is done, `corpusmill gc {dataset} --give-up ID` gives up one that was stopped."
        )


@click.command(short_help="List the runs of DIR.")
@DATASET
@click.option("--last", type=click.IntRange(1), default=30, show_default=True, metavar="N", help="Only the last runs.")
@click.option("--metrics", metavar="FILE", help="Write them as Prometheus metrics.")
@JSON
def history(dataset: str, last: int, metrics: str | None, as_json: bool) -> None:
    """List the runs of DIR: when, how long, what came of them. They are in history.jsonl."""
    from corpusmill.pipelines.dataset.history import read, write_metrics
    from corpusmill.pipelines.dataset.snapshot import Dataset, snapshot_numbers
    from corpusmill.pipelines.report.terminal import Column, table
    from corpusmill.pipelines.wording import count, duration
    from corpusmill.transforms import storage
    from corpusmill.transforms.errors import DatasetError

    runs = read(dataset)
    if not runs:
        raise DatasetError(f"{dataset}: has no history of runs; `corpusmill run RECIPE` begins one.")
    if metrics:
        manifest = Dataset(dataset).manifest() if snapshot_numbers(dataset) else None
        name = manifest["name"] if manifest else storage.absolute(dataset).rpartition("/")[2]
        write_metrics(metrics, dataset, name, manifest)
    if as_json:
        print_json(runs[-last:])
        return
    columns: list[Column | str] = [
        "start",
        Column("took", True),
        Column("CPU", True),
        "outcome",
        Column("documents", True),
        "message",
    ]
    rows = []
    for r in runs[-last:]:
        outcome = f"snapshot {r['snapshot']}" if r["outcome"] == "committed" else r["outcome"].replace("-", " ")
        documents = count(r["documents"]) if "documents" in r else ""
        times = [duration(r["seconds"]), duration(r["cpu_seconds"])]
        rows.append([r["start"], *times, outcome, documents, r["message"][:60]])
    click.echo(table(columns, rows))


@click.group(short_help="Run a recipe by a scheduler.")
def schedule() -> None:
    """Run a recipe by a scheduler, as its section `schedule` says."""


@schedule.command()
@RECIPE
@SET
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Choice(["cron", "systemd", "kubernetes", "cloud-scheduler", "airflow", "dagster"]),
    help="The scheduler.",
)
@click.option("--out", metavar="DIR", help="Write the files there; default: print them.")
@click.option("--image", default="", metavar="NAME", help="kubernetes, cloud-scheduler: image with corpusmill.")
@click.option("--claim", default="", metavar="NAME", help="kubernetes: volume claim of the recipe's folder.")
@click.option("--project", default="", metavar="ID", help="cloud-scheduler: project.")
@click.option("--region", default="", metavar="NAME", help="cloud-scheduler: region.")
@click.option("--service-account", default="", metavar="EMAIL", help="cloud-scheduler: who runs it.")
def export(
    recipe: str,
    overrides: tuple[str, ...],
    target: str,
    out: str | None,
    image: str,
    claim: str,
    project: str,
    region: str,
    service_account: str,
) -> None:
    """Write what makes a scheduler run RECIPE, with its exit codes understood: 3 is success, 75 is tried again."""
    from corpusmill.pipelines.recipe import schedule as schedules
    from corpusmill.pipelines.recipe.model import load
    from corpusmill.transforms.errors import DatasetError

    places = schedules.Places(image, claim, project, region, service_account)
    files = schedules.export(load(recipe, overrides, check_paths=False), recipe, target, places, out or ".")
    for name, content in files.items():
        if out is None:
            click.echo(f"# ---- {name}\n{content}" if len(files) > 1 else content, nl=False)
            continue
        path = Path(out) / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            if name.endswith(".sh"):
                path.chmod(0o755)
        except OSError as error:
            raise DatasetError(f"{path}: cannot be written: {error.strerror}; name another folder") from None
        click.echo(f"{path} is written.")
