"""Verbs that work on a recipe's dataset: plan and run."""

from __future__ import annotations

import logging
import os

import click

from pipelines.commands import JSON, RECIPE, SET, WORKERS, print_json

NOTHING_NEW = 3


@click.command(short_help="Say what `run` would do, and why.")
@RECIPE
@SET
@WORKERS
@click.option("--what-if", is_flag=True, help="Kept documents and bytes by threshold, from scores that were kept.")
@click.option("--step", metavar="NAME", help="With --what-if: of this step only.")
@JSON
def plan(
    recipe: str, overrides: tuple[str, ...], workers: int | None, what_if: bool, step: str | None, as_json: bool
) -> None:
    """Say what `run` would do and why, what it would reuse, and its documents, bytes and memory; runs nothing."""
    from pipelines.recipe import load
    from pipelines.report.plan import render, render_what_if

    if step and not what_if:
        raise click.UsageError("--step goes with --what-if")
    loaded = load(recipe, overrides)
    if what_if:
        from pipelines.what_if import what_if as scores

        rows = scores(loaded.output_dir, step)
        print_json(rows) if as_json else click.echo(render_what_if(rows))
        return
    from pipelines.plan import make

    made = make(loaded, workers=workers or cores())
    print_json(made.to_dict()) if as_json else click.echo(render(made.to_dict()))


@click.command(short_help="Run RECIPE and commit a snapshot.")
@RECIPE
@SET
@WORKERS
@click.option("--runner", default="local", metavar="NAME", show_default=True, help="Beam runner.")
@JSON
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[-- BEAM OPTIONS]")
def run(
    recipe: str,
    overrides: tuple[str, ...],
    workers: int | None,
    runner: str,
    as_json: bool,
    options: tuple[str, ...],
) -> None:
    """Run RECIPE and commit a snapshot; what is finished already is reused. Exits with 3 if nothing is new."""
    if options and not options[0].startswith("-"):
        raise click.UsageError(f"one recipe a run, but `{options[0]}` follows; Beam options come behind `--`")
    from pipelines.recipe import load
    from pipelines.report.progress import Display

    loaded = load(recipe, overrides)
    # Beam says on every import that clients of a cloud are not installed, whether or not the recipe names one
    logging.getLogger().addFilter(_no_cloud_notice)
    from pipelines import run as engine
    from pipelines.report.funnel import render
    from pipelines.report.terminal import duration, styled

    with Display() as display:
        result = engine.run(loaded, workers=workers, runner=runner, options=list(options), progress=display.update)
    if as_json:
        data = {"committed": result.committed, "snapshot": result.snapshot, "dataset": str(loaded.output_dir)}
        print_json(data | {"funnel": result.funnel, "seconds": result.seconds, "cpu_seconds": result.cpu_seconds})
    elif not result.committed:
        click.echo(f"Nothing new: snapshot {result.snapshot} of {loaded.output_dir} is what this recipe gives.")
    else:
        click.echo(render(result.funnel))
        time = f"{duration(result.seconds)}, {duration(result.cpu_seconds)} of CPU"
        click.echo(styled(f"Snapshot {result.snapshot} of {loaded.output_dir} is committed ({time}).", "good"))
    if not result.committed:
        raise click.exceptions.Exit(NOTHING_NEW)


def _no_cloud_notice(record: logging.LogRecord) -> bool:
    return "apitools not found" not in record.getMessage()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
