"""Verbs that maintain a dataset: history, rollback, forget, gc."""

from __future__ import annotations

import click

from corpusmill.pipelines.commands import DATASET, JSON, SET, WORKERS, YES, confirm, print_json
from corpusmill.pipelines.wording import count, duration, printable, say, size, some


@click.command()
@DATASET
@click.option("--ids", metavar="FILE", help="File of ids: one a line, CSV or JSON lines or Parquet with `id`.")
@click.option("--user", "users", metavar="U", multiple=True, help="All documents of a user; repeatable.")
@click.option("--source", "sources", metavar="S", multiple=True, help="All documents of a source; repeatable.")
@click.option(
    "--domain",
    "domains",
    metavar="D",
    multiple=True,
    help="All pages of a web domain, with what lies below it; repeatable.",
)
@click.option("--purge", is_flag=True, help="Also take them out of older snapshots and finished work.")
@click.option("--recipe", metavar="RECIPE", help="The recipe to run again; default: the one that made DIR.")
@SET
@click.option("--search", metavar="DIR", multiple=True, help="Folder to search for models and datasets made from DIR.")
@click.option("--signed-off-by", metavar="NAME", default="", help="Name for the report.")
@click.option("--dry-run", is_flag=True, help="Change nothing; say what would be taken out.")
@YES
@WORKERS
@JSON
def forget(
    dataset: str,
    ids: str | None,
    users: tuple[str, ...],
    sources: tuple[str, ...],
    domains: tuple[str, ...],
    purge: bool,
    recipe: str | None,
    overrides: tuple[str, ...],
    search: tuple[str, ...],
    signed_off_by: str,
    dry_run: bool,
    yes: bool,
    workers: int | None,
    as_json: bool,
) -> None:
    """Take documents, and what was derived from them, out of DIR. Commit the next snapshot and write a report.

    Exits with 1 if some of them are in no file of DIR; the others are taken out.
    """
    if not (ids or users or sources or domains):
        raise click.UsageError("name what to forget: --ids FILE, --user U, --source S or --domain D")
    if overrides and not recipe:
        raise click.UsageError("--set goes with --recipe")
    from corpusmill.pipelines.operations import forget as takedown
    from corpusmill.pipelines.operations.takedown_report import render
    from corpusmill.pipelines.recipe.model import load

    wanted = takedown.Takedown(
        ids=takedown.read_ids(ids) if ids else (),
        users=users,
        sources=sources,
        domains=takedown.read_domains(domains),
        purge=purge,
        signed_off_by=signed_off_by,
        search=search,
    )
    number = len(wanted.ids) + len(users) + len(sources) + len(domains)
    named = some(number, "id, user, domain or source").replace("sources", "ids, users, domains or sources")
    confirm(f"Take documents of {named} out of {dataset}, for good?", yes or dry_run)
    report = takedown.forget(dataset, wanted, load(recipe, overrides) if recipe else None, workers, dry_run)
    print_json(report) if as_json else say(render(report))
    if missing := report["not_found"]:
        listed = ", ".join(printable(m) for m in missing[:20]) + (", ..." if len(missing) > 20 else "")
        say(f"{count(len(missing))} of what was asked for is in no file of {dataset}: {listed}", err=True)
        raise click.exceptions.Exit(1)


@click.command()
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
        say(
            f"Snapshot {manifest['number']} of {dataset} has the content of snapshot {number}: "
            f"{manifest['documents']:,} rows. Change the recipe or its sources before the next run, or it commits what they "
            "give today."
        )


@click.command()
@DATASET
@click.option("--keep", type=click.IntRange(1), default=5, show_default=True, metavar="K", help="Snapshots to keep.")
@click.option("--dry-run", is_flag=True, help="Remove nothing; say what would be removed.")
@click.option(
    "--give-up", "given_up", metavar="ID", multiple=True, help="Keep no work for this submitted run; repeatable."
)
@YES
@JSON
def gc(dataset: str, keep: int, dry_run: bool, given_up: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Remove all but the newest snapshots of DIR, and the files and finished work that nothing needs any more.

    Finished work stays while a submitted run is not committed, because that run may need it.
    """
    from corpusmill.pipelines.operations.gc import collect

    confirm(f"Remove all but the {some(keep, 'newest snapshot')} of {dataset}, for good?", yes or dry_run)
    garbage = collect(dataset, keep, dry_run, given_up)
    if as_json:
        print_json({**garbage.to_dict(), "dry_run": dry_run})
        return
    verb = "would be removed" if dry_run else "removed"
    parts = [f"{count(len(names))} {kind}" for kind, names in garbage.files.items() if names]
    say(f"{', '.join(parts) or 'nothing'} {verb}: {garbage.bytes:,} bytes ({size(garbage.bytes)}).")
    if garbage.waiting:
        say(
            f"Finished work stays for submitted runs: {', '.join(garbage.waiting)}. If one is done: `corpusmill commit {dataset} "
            f"--run ID`. If one was stopped: `corpusmill gc {dataset} --give-up ID`."
        )


@click.command()
@DATASET
@click.option("--last", type=click.IntRange(1), default=30, show_default=True, metavar="N", help="Runs to list.")
@click.option("--metrics", metavar="FILE", help="Write Prometheus metrics of the runs.")
@JSON
def history(dataset: str, last: int, metrics: str | None, as_json: bool) -> None:
    """List the runs of DIR with their time, duration and outcome. They lie in DIR/history.jsonl."""
    from corpusmill.pipelines.dataset.history import read, write_metrics
    from corpusmill.pipelines.dataset.snapshot import Dataset
    from corpusmill.pipelines.report.terminal import Column, table
    from corpusmill.transforms import storage
    from corpusmill.transforms.errors import DatasetError
    from corpusmill.transforms.manifest import snapshot_numbers

    runs = read(dataset)
    if not runs:
        raise DatasetError(f"{dataset}: has no history of runs; `corpusmill run RECIPE` starts one.")
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
    say(table(columns, rows))
