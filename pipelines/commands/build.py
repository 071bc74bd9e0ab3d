"""Verbs that work on a recipe's dataset: plan and run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from corpusmill.pipelines.commands import JSON, NOTHING_NEW, RECIPE, SET, WORKERS, Finite, print_json

if TYPE_CHECKING:
    from corpusmill.pipelines.recipe.model import Recipe

AS_NEW = click.option(
    "--as-new", is_flag=True, help="As if all files had come at once: small shards of many refreshes become full ones."
)


@click.command(short_help="Say what `run` would do, and why.")
@RECIPE
@SET
@WORKERS
@click.option("--what-if", is_flag=True, help="Kept documents and bytes by threshold, from scores that were kept.")
@click.option("--step", metavar="NAME", help="With --what-if: of this step only.")
@click.option("--price", type=Finite(0), metavar="X", help="Of a CPU hour: what it costs on --workers.")
@click.option("--for", "size", metavar="SIZE", help="What it takes for this much source, as in 1TB.")
@AS_NEW
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
    """Say what `run` would do and why, what it would reuse, and its documents, bytes and memory; runs nothing."""
    from corpusmill.pipelines.recipe.model import load
    from corpusmill.pipelines.report.plan import render, render_what_if
    from corpusmill.pipelines.runners import base

    if step and not what_if:
        raise click.UsageError("--step goes with --what-if")
    if what_if and (price is not None or size is not None):
        raise click.UsageError("--price and --for do not go with --what-if, which estimates no cost")
    if as_new and (what_if or price is not None or size is not None):
        raise click.UsageError("--as-new goes with the plan of a run alone")
    loaded = load(recipe, overrides)
    if what_if:
        from corpusmill.pipelines.operations.what_if import what_if as scores

        rows = scores(loaded.dataset, step)
        print_json(rows) if as_json else click.echo(render_what_if(rows))
        return
    if price is not None or size is not None:
        from corpusmill.pipelines.engine.estimate import estimate, parse_size
        from corpusmill.pipelines.report.estimate import render as render_estimate

        try:
            wanted = None if size is None else parse_size(size)
        except ValueError:
            raise click.UsageError(f"--for {size}: a size is a number and MB, GB or TB, as in 1TB") from None
        found = estimate(loaded, workers or base.cores(), price, wanted).to_dict()
        print_json(found) if as_json else click.echo(render_estimate(found))
        return
    from corpusmill.pipelines.engine.plan import make
    from corpusmill.pipelines.recipe.certify import summary
    from corpusmill.pipelines.recipe.privacy_section import forecast

    made = make(loaded, workers=workers or base.cores(), as_new=as_new)
    said = [line for line in (summary(loaded), forecast(loaded)) if line]
    if as_json:
        print_json(made.to_dict() | ({"privacy": said} if said else {}))
        return
    click.echo("\n".join([render(made.to_dict()), *(f"privacy    {line}" for line in said)]))


@click.command(short_help="Run RECIPE and commit a snapshot.")
@RECIPE
@SET
@WORKERS
@click.option("--runner", default="local", metavar="NAME", show_default=True, help="local, dask, portable or dataflow.")
@click.option("--metrics", metavar="FILE", help="Write Prometheus metrics of the dataset's runs.")
@click.option(
    "--arrivals", metavar="DIR", help="Make anew what DIR has become: what came first there counts as first here."
)
@AS_NEW
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
    as_json: bool,
    options: tuple[str, ...],
) -> None:
    """Run RECIPE and commit a snapshot; what is finished already is reused. Exits with 3 if nothing is new.

    With a section `train` a model is trained on the snapshot after that, or goes on from its newest checkpoint.
    """
    if options and not options[0].startswith("-"):
        raise click.UsageError(f"one recipe a run, but `{options[0]}` follows; Beam options come behind `--`")
    if arrivals and as_new:
        raise click.UsageError("--as-new forgets which files came first, and --arrivals tells; only one of them")
    from corpusmill.pipelines.recipe.model import load
    from corpusmill.pipelines.report.progress import Display

    loaded = load(recipe, overrides)
    from corpusmill.pipelines import run as engine
    from corpusmill.pipelines.commands.train import tell
    from corpusmill.pipelines.report.funnel import render
    from corpusmill.pipelines.report.terminal import styled
    from corpusmill.pipelines.runners import hidden_imports
    from corpusmill.pipelines.wording import duration, some

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
    if not as_json and not result.committed:
        again = f" {some(result.restored, 'file')} of it had gone, and stands there again." if result.restored else ""
        click.echo(f"Nothing new: snapshot {result.snapshot} of {loaded.dataset} is what this recipe gives.{again}")
    elif not as_json:
        click.echo(render(result.funnel))
        time = f"{duration(result.seconds)}, {duration(result.cpu_seconds)} of CPU"
        click.echo(styled(f"Snapshot {result.snapshot} of {loaded.dataset} is committed ({time}).", "good"))
    trained = _train(loaded, result.snapshot) if loaded.train else None
    if as_json:
        data = {"committed": result.committed, "snapshot": result.snapshot, "dataset": loaded.dataset}
        data |= {"funnel": result.funnel, "seconds": result.seconds, "cpu_seconds": result.cpu_seconds}
        print_json(data | ({"train": trained} if trained else {}))
    if trained:
        tell(trained, quiet=as_json)
    elif not result.committed:
        raise click.exceptions.Exit(NOTHING_NEW)


def _train(recipe: Recipe, snapshot: int) -> dict[str, Any] | None:
    """Train as the recipe's section says; None if that is done already."""
    from corpusmill.pipelines.commands.train import learn
    from corpusmill.pipelines.recipe.train_section import is_trained, settings_of

    settings = settings_of(recipe, snapshot)
    return None if is_trained(settings) else learn(settings)
