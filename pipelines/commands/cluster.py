"""Verbs for jobs that nobody waits for: submit and commit."""

from __future__ import annotations

import click

from corpusmill.pipelines.commands import DATASET, JSON, RECIPE, SET, WORKERS, print_json


@click.command(short_help="Hand RECIPE to an engine that goes on alone.")
@RECIPE
@SET
@WORKERS
@click.option("--runner", required=True, metavar="NAME", help="portable or dataflow.")
@JSON
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[-- BEAM OPTIONS]")
def submit(
    recipe: str,
    overrides: tuple[str, ...],
    workers: int | None,
    runner: str,
    as_json: bool,
    options: tuple[str, ...],
) -> None:
    """Hand RECIPE to an engine and return at once; the job's last step commits the snapshot."""
    if options and not options[0].startswith("-"):
        raise click.UsageError(f"one recipe a run, but `{options[0]}` follows; Beam options come behind `--`")
    from corpusmill.pipelines.dataset.system_errors import explained
    from corpusmill.pipelines.recipe.model import load
    from corpusmill.pipelines.runners import submit as detached

    loaded = load(recipe, overrides)
    with explained(loaded.dataset):
        run, job = detached.submit(loaded, runner, workers, options)
    if as_json:
        print_json({"run": run, "job": job, "dataset": loaded.dataset})
        return
    click.echo(f"Run {run} is submitted{f' as {job}' if job else ''}. Its last step commits the snapshot;")
    click.echo(f"`corpusmill commit {loaded.dataset} --run {run}` does so too, any number of times.")


@click.command(short_help="Commit a submitted run that is done.")
@DATASET
@click.option("--run", "run", metavar="ID", help="Id of the run; default: the newest.")
@JSON
def commit(dataset: str, run: str | None, as_json: bool) -> None:
    """Commit a submitted run of DIR whose units are all done, or find that it is committed."""
    from corpusmill.pipelines.dataset.system_errors import explained
    from corpusmill.pipelines.runners import submit as detached

    with explained(dataset):
        run, manifest = detached.commit_run(dataset, run)
    if as_json:
        print_json({"run": run, "snapshot": manifest["number"], "documents": manifest["documents"]})
    else:
        click.echo(f"Snapshot {manifest['number']} of {dataset} is committed: {manifest['documents']:,} documents.")
