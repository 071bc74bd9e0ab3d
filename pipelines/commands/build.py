"""Verbs that work on a recipe's dataset: plan and run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from corpusmill.pipelines.commands import (
    JSON,
    NO_USER_CODE,
    NOTHING_NEW,
    RECIPE,
    SET,
    WORKERS,
    Finite,
    check_options,
    print_json,
)
from corpusmill.pipelines.wording import duration, say, some

if TYPE_CHECKING:
    from corpusmill.pipelines.recipe.model import Recipe

AS_NEW = click.option(
    "--as-new", is_flag=True, help="Ignore arrival history: repack shards and choose duplicates again."
)


@click.command()
@RECIPE
@SET
@WORKERS
@click.option("--what-if", is_flag=True, help="Show what other thresholds would keep, from the scores of the last run.")
@click.option("--step", metavar="NAME", help="With --what-if: this step only.")
@click.option("--price", type=Finite(0), metavar="X", help="Price of a CPU hour; estimates cost on --workers.")
@click.option("--for", "size", metavar="SIZE", help="Estimate for this much source, for example 1TB.")
@AS_NEW
@NO_USER_CODE
@JSON
def plan(
    recipe: str,
    overrides: tuple[str, ...],
    workers: int | None,
    what_if: bool,
    step: str | None,
    price: float | None,
    size: str | None,
    as_new: bool,
    as_json: bool,
) -> None:
    """Say what `run` would do and why, what it would reuse, and its documents, bytes and memory. Runs no step.

    Modules of your own that the recipe names are imported, unless --no-user-code refuses them.
    """
    from corpusmill.pipelines.recipe.model import load
    from corpusmill.pipelines.report.plan import render, render_what_if
    from corpusmill.pipelines.runners import base

    if step and not what_if:
        raise click.UsageError("--step goes with --what-if")
    if what_if and (price is not None or size is not None):
        raise click.UsageError("--price and --for do not go with --what-if, which estimates no cost")
    if as_new and (what_if or price is not None or size is not None):
        raise click.UsageError("--as-new does not go with --what-if, --price or --for")
    loaded = load(recipe, overrides)
    if what_if:
        from corpusmill.pipelines.operations.what_if import what_if as scores

        rows = scores(loaded.dataset, step)
        print_json(rows) if as_json else say(render_what_if(rows))
        return
    if price is not None or size is not None:
        from corpusmill.pipelines.engine.estimate import estimate, parse_size
        from corpusmill.pipelines.report.estimate import render as render_estimate

        try:
            wanted = None if size is None else parse_size(size)
        except ValueError:
            raise click.UsageError(f"--for {size}: write a number and MB, GB or TB, for example 1TB") from None
        costs = estimate(loaded, workers or base.cores(), price, wanted).to_dict()
        print_json(costs) if as_json else say(render_estimate(costs))
        return
    from corpusmill.pipelines.engine.plan import make
    from corpusmill.pipelines.operations.left_out import left_out, sentences
    from corpusmill.pipelines.recipe.certify import summary
    from corpusmill.pipelines.recipe.privacy_section import forecast
    from corpusmill.pipelines.recipe.source_checks import notes

    dry_run = make(loaded, workers=workers or base.cores(), as_new=as_new).to_dict()
    privacy = [line for line in (summary(loaded), forecast(loaded)) if line]
    unread = left_out(loaded)
    hints = [line for source in loaded.sources for line in notes(source, loaded.base_dir)]
    if as_json:
        more = {"privacy": privacy, "left_out": unread, "notes": hints}
        print_json(dry_run | {name: value for name, value in more.items() if value})
        return
    lines = [f"privacy    {line}" for line in privacy] + [f"caution    {line}" for line in sentences(unread)]
    lines += [f"note       {line}" for line in hints]
    say("\n".join([render(dry_run), *lines]))


@click.command()
@RECIPE
@SET
@WORKERS
@click.option("--runner", default="local", metavar="NAME", show_default=True, help="local, dask, portable or dataflow.")
@click.option("--metrics", metavar="FILE", help="Write Prometheus metrics of the dataset's runs.")
@click.option(
    "--arrivals", metavar="DIR", help="Use the arrival order of DIR's files, to make its newest snapshot again."
)
@AS_NEW
@click.option("--current-is-ok", is_flag=True, help="Exit with 0, not 3, if nothing is new.")
@NO_USER_CODE
@JSON
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[-- BEAM OPTIONS]")
def run(
    recipe: str,
    overrides: tuple[str, ...],
    workers: int | None,
    runner: str,
    metrics: str | None,
    arrivals: str | None,
    as_new: bool,
    current_is_ok: bool,
    as_json: bool,
    options: tuple[str, ...],
) -> None:
    """Run RECIPE and commit a snapshot. Finished work is reused. Exits with 3 if nothing is new.

    With a section `train`, a model is trained on the snapshot afterwards, or continued from its newest checkpoint.
    """
    check_options(options)
    if arrivals and as_new:
        raise click.UsageError("--as-new ignores arrival history and --arrivals sets it; use one of them")
    from corpusmill.pipelines.recipe.model import load
    from corpusmill.pipelines.report.progress import Display

    loaded = load(recipe, overrides)
    from corpusmill.pipelines import run as engine
    from corpusmill.pipelines.commands.train import stop_if_told
    from corpusmill.pipelines.operations.left_out import left_out, sentences
    from corpusmill.pipelines.report.funnel import render
    from corpusmill.pipelines.report.statistics import private_note
    from corpusmill.pipelines.report.terminal import styled
    from corpusmill.pipelines.runners import hidden_imports

    if runner in ("local", "dask"):
        hidden_imports.allow(loaded)
    with Display() as display:
        result = engine.run(
            loaded,
            workers=workers,
            runner=runner,
            options=list(options),
            progress=display.update,
            metrics=metrics,
            arrivals=arrivals,
            as_new=as_new,
        )
    unread = left_out(loaded)
    if not as_json and not result.committed:
        restored = f" Restored {some(result.restored, 'missing file')}." if result.restored else ""
        say(f"Nothing new: snapshot {result.snapshot} of {loaded.dataset} is what this recipe gives.{restored}")
    elif not as_json:
        say(render(result.funnel))
        if note := private_note(result.manifest):
            say(note)
        for sentence in sentences(unread):
            say(styled(f"! {sentence}.", "loss"))
        time = f"{duration(result.seconds)}, {duration(result.cpu_seconds)} of CPU"
        say(styled(f"Snapshot {result.snapshot} of {loaded.dataset} is committed ({time}).", "good"))
    trained = _train(loaded, result.snapshot, as_json)
    if as_json:
        data = {"committed": result.committed, "snapshot": result.snapshot, "dataset": loaded.dataset}
        data |= {"funnel": result.funnel, "seconds": result.seconds, "cpu_seconds": result.cpu_seconds}
        data |= {"left_out": unread} if unread else {}
        shown = {"train": trained} if isinstance(loaded.train, list) else {"train": trained[-1]} if trained else {}
        print_json(data | (shown if trained else {}))
    if trained:
        stop_if_told(trained[-1])
    elif not result.committed and not current_is_ok:
        raise click.exceptions.Exit(NOTHING_NEW)


def _train(recipe: Recipe, snapshot: int, quiet: bool) -> list[dict[str, Any]]:
    """Train what the recipe's section `train` says and is not complete yet; the results, each with the stage's name."""
    from corpusmill.pipelines.commands.train import print_result, train_guarded
    from corpusmill.pipelines.recipe.train_section import is_trained, runs_of

    results: list[dict[str, Any]] = []
    for run in runs_of(recipe, snapshot):
        if is_trained(run.settings):
            continue
        if run.teach is not None:
            from corpusmill.training import commands

            commands.teach(run.settings, run.teachers, run.teach.model_dump(exclude={"by"}))
        if run.label and not quiet:
            say(f"Stage {run.label}:")
        result = train_guarded(run.settings)
        print_result(result, quiet)
        results.append(result | ({"stage": run.label} if run.label else {}))
        if result["stopped"] == "SIGTERM":
            break
    return results
