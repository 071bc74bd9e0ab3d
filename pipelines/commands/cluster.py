"""Verbs for jobs that run without this process: submit and commit."""

from __future__ import annotations

import click

from corpusmill.pipelines.commands import DATASET, JSON, NOTHING_NEW, RECIPE, SET, WORKERS, check_options, print_json
from corpusmill.pipelines.wording import say


@click.command()
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
    """Submit RECIPE to an engine and return at once. The job's last step commits the snapshot. Exits with 3 if nothing is new."""
    check_options(options)
    from corpusmill.pipelines.dataset.system_errors import explained
    from corpusmill.pipelines.recipe.model import load
    from corpusmill.pipelines.runners import submit as detached

    loaded = load(recipe, overrides)
    with explained(loaded.dataset):
        handed = detached.submit(loaded, runner, workers, options)
    if handed is None:
        if as_json:
            print_json({"run": None, "job": None, "dataset": loaded.dataset})
        else:
            say(f"Nothing new: the newest snapshot of {loaded.dataset} is what this recipe gives.")
        raise click.exceptions.Exit(NOTHING_NEW)
    run, job = handed
    if as_json:
        print_json({"run": run, "job": job, "dataset": loaded.dataset})
        return
    say(f"Run {run} is submitted{f' as {job}' if job else ''}. Its last step commits the snapshot.")
    say(f"If that step fails, commit with: corpusmill commit {loaded.dataset} --run {run}")


@click.command()
@DATASET
@click.option("--run", "run", metavar="ID", help="Id of the run; default: the newest.")
@JSON
def commit(dataset: str, run: str | None, as_json: bool) -> None:
    """Commit a submitted run of DIR whose tasks are all done. A committed run stays as it is."""
    from corpusmill.pipelines.dataset.system_errors import explained
    from corpusmill.pipelines.runners import submit as detached

    with explained(dataset):
        run, manifest = detached.commit_run(dataset, run)
    if as_json:
        print_json({"run": run, "snapshot": manifest["number"], "documents": manifest["documents"]})
    else:
        say(f"Snapshot {manifest['number']} of {dataset} is committed: {manifest['documents']:,} documents.")
