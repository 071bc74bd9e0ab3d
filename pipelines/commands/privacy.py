"""Verbs around privacy budgets: privacy status, plan, statement, audit, certify."""

from __future__ import annotations

import click

from pipelines.commands import JSON, RECIPE, SET, print_json

LEDGER = click.argument("ledger", metavar="LEDGER")


@click.group(short_help="Budgets of private data: status, plan, statement, audit.")
def privacy() -> None:
    """What is spent of the privacy budget of sensitive text, what a plan would cost, and whether a model keeps to it.

    LEDGER is a privacy.jsonl, or the folder of the dataset that it lies in.
    """


@privacy.command()
@LEDGER
@click.option("--population", metavar="NAME", required=True, help="Whose data it is.")
@click.option("--unit", metavar="UNIT", default="document", show_default=True, help="`document`, or the user column.")
@click.option("--epsilon", type=click.FloatRange(0, min_open=True), required=True, help="All that may ever be spent.")
@click.option("--delta", type=click.FloatRange(0, 1, True, True), required=True, help="Below 1 / number of units.")
@click.option("--units", type=click.IntRange(1), metavar="N", help="Public number of units.")
def budget(ledger: str, population: str, unit: str, epsilon: float, delta: float, units: int | None) -> None:
    """Begin a ledger with its budget, which never changes."""
    from privacy.ledger import Ledger

    made = Ledger.create(ledger, population, unit, epsilon, delta, units)
    click.echo(f"{made.path} is written: epsilon {epsilon:g}, delta {delta:g}, unit {unit}.")


@privacy.command()
@LEDGER
@JSON
def status(ledger: str, as_json: bool) -> None:
    """Epsilon spent and left, and on what."""
    from privacy import statement
    from privacy.ledger import Ledger

    found = statement.status(Ledger(ledger))
    if as_json:
        names = ("when", "what", "events")
        print_json(
            {
                "budget": found.budget,
                "epsilon_spent": found.spent,
                "epsilon_left": found.left,
                "epsilon_prv": found.beside,
                "open_runs": found.open_runs,
                "runs": [dict(zip(names, run)) for run in found.runs],
            }
        )
        return
    b = found.budget
    click.echo(f"population  {b['population']} (unit: {b['unit']}, {b['adjacency']})")
    click.echo(f"budget      epsilon {b['epsilon']:g} at delta {b['delta']:g}")
    beside = f"   (PRV: {found.beside:.3f})" if found.beside is not None else ""
    click.echo(f"spent       {found.spent:.3f}{beside}")
    click.echo(f"left        {found.left:.3f}")
    for when, what, events in found.runs:
        click.echo(f"  {when[:16]}  {what}: {events}")


@privacy.command()
@click.option("--ledger", metavar="LEDGER", help="Compose with what this ledger has spent, at its delta and budget.")
@click.option("--rate", type=click.FloatRange(0, 1, min_open=True), required=True, help="Sampling rate of a step.")
@click.option("--delta", type=click.FloatRange(0, 1, True, True), help="Delta, where no ledger says it.")
@click.option("--noise", type=click.FloatRange(0, min_open=True), multiple=True, help="Noise multiplier; repeatable.")
@click.option("--steps", type=click.IntRange(1), multiple=True, help="Number of steps; repeatable.")
@click.option("--epsilon", type=click.FloatRange(0, min_open=True), help="Say the least noise for this, a column.")
@JSON
def plan(
    ledger: str | None,
    rate: float,
    delta: float | None,
    noise: tuple[float, ...],
    steps: tuple[int, ...],
    epsilon: float | None,
    as_json: bool,
) -> None:
    """Epsilon against steps and noise, as a table and a plot."""
    from privacy import statement
    from privacy.accounting import sigma_for
    from privacy.ledger import Ledger
    from transforms.errors import PrivacyError, RecipeError

    kept = Ledger(ledger) if ledger else None
    before = kept.events() if kept else []
    delta = float(kept.budget["delta"]) if kept and delta is None else delta
    if delta is None:
        raise RecipeError("privacy plan: give --delta, or a --ledger that has one")
    target = epsilon if epsilon is not None else float(kept.budget["epsilon"]) if kept else None
    sigmas = sorted(noise) or [0.6, 0.8, 1.0, 1.5, 2.0, 4.0]
    counts = sorted(steps) or [100, 300, 1000, 3000, 10000]
    rows = statement.plan(delta, rate, sigmas, counts, before)
    least: list[float | None] = []
    for count in counts if target is not None else []:
        try:
            least.append(sigma_for(float(target or 0), delta, rate, count, before))
        except PrivacyError:
            least.append(None)
    if as_json:
        print_json(
            {"delta": delta, "rate": rate, "noise": sigmas, "steps": counts, "epsilon": rows, "least_noise": least}
        )
        return
    click.echo(f"epsilon at delta {delta:g}, rate {rate:g}" + (f", with what {kept.path} has spent" if kept else ""))
    click.echo("noise \\ steps" + "".join(f"{count:>10,}" for count in counts))
    for sigma, row in zip(sigmas, rows):
        click.echo(f"{sigma:>13g}" + "".join(f"{value:>10.3f}" for value in row))
    if least:
        shown = "".join(f"{value:>10.3f}" if value is not None else f"{'none':>10}" for value in least)
        click.echo(f"{f'least for {target:g}':>13}{shown}")
    click.echo("\n" + statement.plot(rows, sigmas, counts, target))


@privacy.command("statement")
@LEDGER
def statement_(ledger: str) -> None:
    """A statement in plain language, for whoever answers for the data."""
    from privacy.ledger import Ledger
    from privacy.statement import statement

    click.echo(statement(Ledger(ledger)))


@privacy.command()
@click.argument("scores", metavar="FILE")
@click.option("--claim", type=click.FloatRange(0), help="Epsilon that is claimed; exit code 1 where it is refuted.")
@click.option("--delta", type=click.FloatRange(0, 1, True, True), required=True, help="Delta of the claim.")
@click.option("--confidence", type=click.FloatRange(0.5, 1, True, True), default=0.95, show_default=True)
@JSON
def audit(scores: str, claim: float | None, delta: float, confidence: float, as_json: bool) -> int:
    """Lower bounds on epsilon from the scores of canaries.

    FILE (Parquet or JSONL) has a row a canary: `score`, higher where the model knows it, and `member`, true where a coin put it
    into training.
    """
    import dataclasses

    from privacy.audit import audit as run
    from privacy.canaries import read_scores

    found = run(*read_scores(scores), delta, confidence)
    refuted = claim is not None and max(found.epsilon, found.epsilon_gaussian) > claim
    if as_json:
        print_json({**dataclasses.asdict(found), "claim": claim, "refuted": refuted})
        return int(refuted)
    click.echo(f"{found.canaries} canaries, delta {delta:g}, confidence {confidence:g}")
    click.echo(f"epsilon is at least      {found.epsilon:.3f}")
    click.echo(f"  if noise is Gaussian   {found.epsilon_gaussian:.3f}")
    click.echo(f"attack: AUC {found.auc:.3f}, {found.tpr_at_1_percent:.1%} of members found at 1% false positives")
    if claim is not None:
        click.echo(f"the claim of {claim:g} is {'REFUTED' if refuted else 'not refuted, which proves nothing'}")
    return int(refuted)


@privacy.command()
@click.argument("folder", metavar="FOLDER")
@click.option("--count", type=click.IntRange(4), default=400, show_default=True, help="Canaries; each is in by a coin.")
@click.option("--words", type=click.IntRange(1), default=12, show_default=True, help="Words of a canary.")
def canaries(folder: str, count: int, words: int) -> None:
    """Write canaries for an audit: FOLDER/canaries.jsonl is a source for the recipe, FOLDER/members.jsonl stays secret."""
    from privacy.canaries import write

    source, members = write(folder, count, words)
    click.echo(
        f"{source}: add it to the recipe as a private source. {members}: says which are in; for the audit alone."
    )


@privacy.command()
@RECIPE
@click.option("--unit", metavar="UNIT", default="document", show_default=True, help="`document`, or the user column.")
@SET
@JSON
def certify(recipe: str, unit: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Judge whether what RECIPE makes may be trained on privately, step by step along its lineage."""
    import dataclasses

    from pipelines.certify import certify as run
    from pipelines.recipe import load

    found = run(load(recipe, overrides), unit)
    if as_json:
        print_json({**dataclasses.asdict(found), "certified": not found.refusals})
    elif not found.private:
        click.echo("No source is private: nothing needs a guarantee.")
    elif not found.refusals:
        for name, reach in found.steps:
            click.echo(f"  {name:<24} {reach}")
        click.echo(f"Certified for the unit `{unit}`, if these hold:")
        for assumption in found.assumptions:
            click.echo(f"  - {assumption}")
    found.require()
