"""Verbs around privacy budgets: privacy status, plan, statement, statistics, audit, certify."""

from __future__ import annotations

from typing import Any

import click

from corpusmill.pipelines.commands import DATASET, JSON, RECIPE, SET, SNAPSHOT, WORKERS, Finite, print_json
from corpusmill.pipelines.wording import printable, say

LEDGER = click.argument("ledger", metavar="LEDGER")


@click.group()
def privacy() -> None:
    """Privacy budgets of sensitive text: what is spent, what a training would cost, and whether a model keeps its guarantee.

    LEDGER is a privacy.jsonl, or the dataset folder that holds one.
    """


@privacy.command()
@LEDGER
@click.option(
    "--population", metavar="NAME", required=True, help="Name of the people or documents that the budget protects."
)
@click.option("--unit", metavar="UNIT", default="document", show_default=True, help="`document`, or the user column.")
@click.option("--epsilon", type=Finite(0, min_open=True), required=True, help="All that may ever be spent.")
@click.option("--delta", type=Finite(0, 1, True, True), required=True, help="Below 1 / number of privacy units.")
@click.option("--units", type=click.IntRange(1), metavar="N", help="Public number of privacy units.")
@click.option("--adaptive", is_flag=True, help="Count so that later runs may be chosen after looking at earlier ones.")
def budget(
    ledger: str, population: str, unit: str, epsilon: float, delta: float, units: int | None, adaptive: bool
) -> None:
    """Start a ledger with its budget, which never changes."""
    from corpusmill.privacy.certification import dataset_of, private_paths
    from corpusmill.privacy.ledger import Ledger

    sources = private_paths(ledger) if dataset_of(ledger) else []
    path = Ledger.create(
        ledger, population, unit, epsilon, delta, units, sources, "adaptive" if adaptive else "fixed"
    ).path
    say(f"{path} is written: epsilon {epsilon:g}, delta {delta:g}, unit {unit}.")


@privacy.command()
@LEDGER
@JSON
def status(ledger: str, as_json: bool) -> None:
    """Show the epsilon that is spent and left, and the runs that spent it."""
    from corpusmill.privacy import statement
    from corpusmill.privacy.ledger import Ledger

    state = statement.status(Ledger(ledger))
    if as_json:
        names = ("when", "what", "events")
        print_json(
            {
                "budget": state.budget,
                "epsilon_spent": state.spent,
                "epsilon_left": state.left,
                "epsilon_prv": state.beside,
                "epsilon_adaptive": state.adaptive,
                "accountant": state.accountant,
                "open_runs": state.open_runs,
                "runs": [dict(zip(names, run)) for run in state.runs],
            }
        )
        return
    b = state.budget
    say(f"population  {printable(b['population'])} (unit: {printable(b['unit'])}, {printable(b['adjacency'])})")
    say(f"budget      epsilon {b['epsilon']:g} at delta {b['delta']:g}")
    prv = f"   (PRV: {state.beside:.3f})" if state.beside is not None else ""
    say(f"spent       {state.spent:.3f}{prv}")
    if state.adaptive is not None and state.accountant == "pld":
        say(f"            {state.adaptive:.3f} if later runs were chosen after looking at earlier ones")
    say(f"left        {state.left:.3f}")
    for when, what, events in state.runs:
        say(f"  {when[:16]}  {printable(what)}: {printable(events)}")


@privacy.command()
@click.option("--ledger", metavar="LEDGER", help="Add to what this ledger has spent, at its delta and budget.")
@click.option("--rate", type=Finite(0, 1, min_open=True), help="Sampling rate of a step.")
@click.option(
    "--units", type=click.IntRange(1), help="Choose the batch instead, for this public number of privacy units."
)
@click.option(
    "--batch", type=click.IntRange(1), help="With --units: compare the noise mechanisms for this size of a step."
)
@click.option(
    "--rows",
    "unit_rows",
    type=click.IntRange(2),
    help="With --batch: rows of a unit; compare sampling of units and of their rows.",
)
@click.option("--delta", type=Finite(0, 1, True, True), help="Delta; default: the ledger's.")
@click.option("--noise", type=Finite(0, min_open=True), multiple=True, help="Noise multiplier; repeatable.")
@click.option("--steps", type=click.IntRange(1), multiple=True, help="Number of steps; repeatable.")
@click.option("--epsilon", type=Finite(0, min_open=True), help="Also show the least noise for this epsilon.")
@JSON
def plan(
    ledger: str | None,
    rate: float | None,
    units: int | None,
    batch: int | None,
    unit_rows: int | None,
    delta: float | None,
    noise: tuple[float, ...],
    steps: tuple[int, ...],
    epsilon: float | None,
    as_json: bool,
) -> None:
    """Show epsilon by steps and noise, as a table and a plot.

    With --units: the batch that is worth its noise, by steps. With --units and --batch: what each noise mechanism is worth; with
    --rows, too: whether a step should sample whole units or their rows.
    """
    from corpusmill.privacy import statement
    from corpusmill.privacy.accounting import sigma_for
    from corpusmill.privacy.ledger import Ledger
    from corpusmill.transforms.errors import PrivacyError, RecipeError

    opened = Ledger(ledger) if ledger else None
    before = opened.events() if opened else []
    delta = float(opened.budget["delta"]) if opened and delta is None else delta
    if delta is None:
        raise RecipeError("privacy plan: give --delta, or a --ledger that has one")
    target = epsilon if epsilon is not None else float(opened.budget["epsilon"]) if opened else None
    if units is not None:
        if target is None or rate is not None:
            raise click.UsageError("--units chooses the rate for an --epsilon; leave --rate out")
        if batch is not None:
            _compare(units, batch, unit_rows, target, delta, sorted(steps) or [100, 300, 1000], before, as_json)
            return
        _choose(units, target, delta, sorted(steps) or [100, 300, 1000], before, as_json)
        return
    if batch is not None or unit_rows is not None:
        raise click.UsageError("--batch and --rows go with --units")
    if rate is None:
        raise click.UsageError("give --rate, or --units to have it chosen")
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
    say(f"epsilon at delta {delta:g}, rate {rate:g}" + (f", with what {opened.path} has spent" if opened else ""))
    say("noise \\ steps" + "".join(f"{count:>10,}" for count in counts))
    for sigma, row in zip(sigmas, rows):
        say(f"{sigma:>13g}" + "".join(f"{value:>10.3f}" for value in row))
    if least:
        shown = "".join(f"{value:>10.3f}" if value is not None else f"{'none':>10}" for value in least)
        say(f"{f'least for {target:g}':>13}{shown}")
    say("\n" + statement.plot(rows, sigmas, counts, target))


def _choose(units: int, target: float, delta: float, steps: list[int], before: list[Any], as_json: bool) -> None:
    """Print the batch for each number of steps."""
    import dataclasses

    from corpusmill.privacy.planning import choose

    found = choose(units, target, delta, steps, before)
    if as_json:
        print_json(
            {"epsilon": target, "delta": delta, "units": units, "choices": [dataclasses.asdict(c) for c in found]}
        )
        return
    say(f"epsilon {target:g} at delta {delta:g}, {units:,} units")
    say(f"{'steps':>8}{'batch.rows':>12}{'rate':>9}{'noise':>9}{'noise / batch':>15}{'signal':>9}{'rows in all':>14}")
    for c in found:
        ratio, rows = f"{c.noise_batch_ratio:.2g}", f"{c.steps * c.batch:,}"
        say(f"{c.steps:>8,}{c.batch:>12,}{c.rate:>9.3g}{c.noise:>9.3f}{ratio:>15}{c.signal:>9.0%}{rows:>14}")
    say("signal: of what all units in each step would give, which no number of steps exceeds")


def _compare(
    units: int,
    batch: int,
    rows: int | None,
    target: float,
    delta: float,
    steps: list[int],
    before: list[Any],
    as_json: bool,
) -> None:
    """Print what noise mechanisms, or ways of sampling, are worth for each number of steps."""
    import dataclasses

    from corpusmill.privacy.mechanisms.choice import compare
    from corpusmill.privacy.planning import levels

    about = {"epsilon": target, "delta": delta, "units": units, "batch": batch}
    if rows is not None:
        ways = {count: levels(units, rows, batch, count, target, delta, before) for count in steps}
        if as_json:
            shown = [{"steps": n} | dataclasses.asdict(one) for n, found in ways.items() for one in found]
            print_json(about | {"rows": rows, "levels": shown})
            return
        say(f"epsilon {target:g} at delta {delta:g}, {units:,} units of {rows} rows, {batch:,} rows a step")
        say(f"{'steps':>8}{'samples':>9}{'rate':>10}{'noise':>9}{'rows agree':>13}{'rows differ':>13}")
        for count, found in ways.items():
            for one in found:
                say(f"{count:>8,}{one.by:>9}{one.rate:>10.3g}{one.noise:>9.3f}{one.agree:>13.2e}{one.differ:>13.2e}")
        say(
            "agree, differ: noise of a step's mean gradient over the norm of a row's, where rows of a unit are alike, and unlike"
        )
        return
    plans = [
        (count, one, one.deviation / found[0].deviation)
        for count in steps
        for found in [compare(batch, units, count, target, delta, before)]
        for one in found
    ]
    if as_json:
        mechanisms = [{"steps": n, "deviation": one.deviation} | dataclasses.asdict(one) for n, one, _ in plans]
        print_json(about | {"mechanisms": mechanisms})
        return
    say(f"epsilon {target:g} at delta {delta:g}, {units:,} units, {batch:,} a step")
    say(f"{'steps':>8}{'noise':>14}{'bands':>7}{'rate':>9}{'sigma':>9}{'error':>9}{'in all':>9}")
    for n, plan, share in plans:
        say(f"{n:>8,}{plan.noise:>14}{plan.bands:>7}{plan.rate:>9.3g}{plan.sigma:>9.3f}{plan.error:>9.3f}{share:>9.0%}")
    say(
        "in all: deviation of the noise of summed steps (sigma times error), of that of independent noise; less is better"
    )


@privacy.command("statement")
@LEDGER
def statement_(ledger: str) -> None:
    """Print a statement in plain language for the person who is responsible for the data."""
    from corpusmill.privacy.ledger import Ledger
    from corpusmill.privacy.statement import statement

    say(statement(Ledger(ledger)))


@privacy.command()
@DATASET
@SNAPSHOT
@click.option("--by", multiple=True, metavar="COLUMN", help="Column to count by, or `length`; repeatable.")
@click.option("--epsilon", type=Finite(0, min_open=True), required=True, help="Epsilon of all counts together.")
@click.option("--delta", type=Finite(0, 1, True, True), help="Default: a hundredth of the budget's.")
@click.option("--ledger", metavar="LEDGER", help="Ledger that pays; default: privacy.jsonl in DIR.")
@click.option(
    "--max-groups", type=click.IntRange(1), default=1, show_default=True, help="Groups that a privacy unit counts in."
)
@WORKERS
@JSON
def statistics(
    dataset: str,
    snapshot: int | None,
    by: tuple[str, ...],
    epsilon: float,
    delta: float | None,
    ledger: str | None,
    max_groups: int,
    workers: int | None,
    as_json: bool,
) -> None:
    """Publish noisy counts of DIR's private documents by source, language and length, paid from the ledger.

    The counts are written to DIR/statistics and shown by `corpusmill show`. Each call is paid for.
    """
    from corpusmill.pipelines.dataset.snapshot import Dataset
    from corpusmill.pipelines.operations.private_statistics import publish
    from corpusmill.pipelines.report.statistics import render
    from corpusmill.pipelines.runners.base import cores
    from corpusmill.privacy.ledger import Ledger

    opened, pays = Dataset(dataset), Ledger(ledger or dataset)
    present = [field["name"] for field in opened.manifest(snapshot)["schema"]]
    columns = by or tuple(name for name in ("source", "lang", "length") if name in (*present, "length"))
    share = delta if delta is not None else float(pays.budget["delta"]) / 100
    release = publish(opened, snapshot, columns, epsilon, share, pays, max_groups, workers or cores())
    print_json(release) if as_json else say(f"{render(release)}\n{release['file']} is written.")


@privacy.command()
@DATASET
@SNAPSHOT
@click.option("--model", required=True, metavar="MODEL", help="Public model that writes: a run, hf:FOLDER or api:...")
@click.option("--seeds", required=True, metavar="FILE", help="Public rows of `text` (and the label): a prompt each.")
@click.option("--out", required=True, metavar="FILE", help="JSON lines to write; FILE.guarantee is beside it.")
@click.option(
    "--epsilon", type=Finite(0, min_open=True), required=True, help="What the ledger may stand at afterwards."
)
@click.option("--ledger", metavar="LEDGER", help="Ledger that pays; default: privacy.jsonl in DIR.")
@click.option("--label", metavar="COLUMN", default="", help="Documents vote among the texts of their label.")
@click.option("--template", default="{text}\\n\\n", show_default=True, help="Prompt of a seed.")
@click.option("--keep", type=click.IntRange(1), default=40, show_default=True, help="Texts of each seed.")
@click.option("--variations", type=click.IntRange(0), default=3, show_default=True, help="Of each text, each round.")
@click.option("--rounds", type=click.IntRange(1), default=4, show_default=True, help="Rounds of votes.")
@click.option("--vary", type=click.Choice(["continue", "rephrase"]), default="continue", show_default=True)
@click.option("--vectors", metavar="VECTORS", default="", help="static:FOLDER or embed:FOLDER; default: word vectors.")
@click.option("--max-tokens", type=click.IntRange(1), default=64, show_default=True, help="Tokens of a text.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the public draws.")
@JSON
def synthesize(
    dataset: str,
    snapshot: int | None,
    out: str,
    epsilon: float,
    ledger: str | None,
    template: str,
    as_json: bool,
    **how: Any,
) -> None:
    """Write synthetic text that DIR's private documents have chosen by private votes; no model is trained on them.

    A public model writes texts for public seeds and varies those with the most votes, round by round.
    """
    from corpusmill.pipelines.dataset.snapshot import Dataset
    from corpusmill.pipelines.operations.private_synthesis import Synthesis
    from corpusmill.pipelines.operations.private_synthesis import synthesize as run
    from corpusmill.privacy.ledger import Ledger

    asked = Synthesis(template=template.replace("\\n", "\n"), **how)
    done = run(Dataset(dataset), snapshot, asked, out, epsilon, Ledger(ledger or dataset))
    if as_json:
        print_json(done)
        return
    say(f"{out} is written: {done['texts']:,} texts. The ledger stands at epsilon {done['epsilon']:.3f}.")


@privacy.command()
@click.argument("scores", metavar="[FILE]", required=False)
@click.option("--model", metavar="RUN", help="Score the canaries with this run or checkpoint instead of FILE.")
@click.option("--canaries", "folder", metavar="FOLDER", help="With --model: folder that `privacy canaries` wrote.")
@click.option("--reference", metavar="RUN", help="With --model: score against this model, which has not seen them.")
@click.option("--claim", type=Finite(0), help="Epsilon that is claimed; default: the guarantee of RUN.")
@click.option("--delta", type=Finite(0, 1, True, True), help="Delta of the claim; default: RUN's.")
@click.option("--confidence", type=Finite(0.5, 1, True, True), default=0.95, show_default=True)
@click.option("--white-box", is_flag=True, help="Test the private steps of this installation instead; needs no model.")
@JSON
def audit(
    scores: str | None,
    model: str | None,
    folder: str | None,
    reference: str | None,
    claim: float | None,
    delta: float | None,
    confidence: float,
    white_box: bool,
    as_json: bool,
) -> int:
    """Bound epsilon from below by the scores of canaries. Exits with 1 if they refute the claim.

    With --white-box: run private steps on known gradients, and compare noise, clipping, units and sampling with what is accounted.

    FILE (Parquet or JSONL) has one row for each canary: `score`, higher where the model knows it, and `member`, true where a
    coin put it into training. With --model and --canaries, a trained model makes the scores.
    """
    import dataclasses

    if white_box:
        if scores or model or folder:
            raise click.UsageError("--white-box tests the installation; it does not go with FILE or --model")
        return _white_box(as_json)
    from corpusmill.privacy.audit import attack
    from corpusmill.privacy.audit import audit as run
    from corpusmill.privacy.canaries import read_scores, split

    if (scores is None) == (model is None) or (model is None) != (folder is None):
        raise click.UsageError("give FILE, or --model RUN with --canaries FOLDER")
    attacks: dict[str, dict[str, float]] = {}
    if model is not None and folder is not None:
        from corpusmill.training import build
        from corpusmill.training.owners.private_scores import score

        table = score(model, folder, reference)
        members, others = split(table)
        attacks = {"loss": attack(members, others), "min-k": attack(*split(table, column="min_k"))}
        guarantee = build.load(model).state.get("guarantee") or {}
        claim = guarantee.get("epsilon") if claim is None else claim
        delta = guarantee.get("delta") if delta is None else delta
    else:
        members, others = read_scores(str(scores))
        attacks = {"score": attack(members, others)}
    if delta is None:
        raise click.UsageError("--delta is missing, and the run has no guarantee that names one")
    bounds = run(members, others, delta, confidence)
    refuted = claim is not None and max(bounds.epsilon, bounds.epsilon_gaussian) > claim
    if as_json:
        print_json({**dataclasses.asdict(bounds), "attacks": attacks, "claim": claim, "refuted": refuted})
        return int(refuted)
    say(f"{bounds.canaries} canaries, delta {delta:g}, confidence {confidence:g}")
    say(f"epsilon is at least      {bounds.epsilon:.3f}")
    say(f"  if noise is Gaussian   {bounds.epsilon_gaussian:.3f}")
    for name, result in attacks.items():
        say(
            f"attack by {name:<7} AUC {result['auc']:.3f}, {result['tpr_at_1_percent']:.1%} of members found at 1% false "
            f"positives, exposure {result['exposure']:.2f} bits (guessing: {result['exposure_of_others']:.2f})"
        )
    if claim is not None:
        say(f"the claim of {claim:.3g} is {'REFUTED' if refuted else 'not refuted, which proves nothing'}")
    return int(refuted)


def _white_box(as_json: bool) -> int:
    """Run the self-test in each mode; 1 if anything is refuted."""
    import dataclasses
    from typing import get_args

    from corpusmill.privacy.dp_settings import Mode
    from corpusmill.privacy.white_box import white_box

    found = [(mode, finding) for mode in get_args(Mode) for finding in white_box(mode)]
    refuted = any(finding.refuted for _, finding in found)
    if as_json:
        print_json({"findings": [{"mode": m} | dataclasses.asdict(f) for m, f in found], "refuted": refuted})
        return int(refuted)
    for mode, finding in found:
        verdict = "REFUTED" if finding.refuted else "holds"
        say(f"{mode:<6} {finding.name:<34} {verdict:<8} {finding.found}; accounted for: {finding.expected}")
    say(
        "Private steps do not do what is accounted for. Do not train with this installation."
        if refuted
        else "Nothing is refuted."
    )
    return int(refuted)


@privacy.command()
@click.argument("folder", metavar="FOLDER")
@click.option(
    "--count", type=click.IntRange(4), default=400, show_default=True, help="Canaries; a coin puts each in or out."
)
@click.option("--words", type=click.IntRange(1), default=12, show_default=True, help="Words of a canary.")
@click.option(
    "--with", "columns", multiple=True, metavar="COLUMN=A,B", help="Add a column with random values of these."
)
def canaries(folder: str, count: int, words: int, columns: tuple[str, ...]) -> None:
    """Write canaries for an audit: FOLDER/canaries.jsonl is a source for the recipe, FOLDER/members.jsonl stays secret.

    Train with the source among the others, then: corpusmill privacy audit --model RUN --canaries FOLDER
    """
    from corpusmill.privacy.canaries import write

    named = dict(text.partition("=")[::2] for text in columns)
    if not all(named.values()) or {"id", "text", "user", "member"} & set(named):
        raise click.UsageError("--with COLUMN=A,B names a new column and its possible values")
    source, members = write(folder, count, words, {name: values.split(",") for name, values in named.items()})
    say(
        f"{source}: add it to the recipe as a private source. {members}: names those that are in; keep it for the audit."
    )


@privacy.command()
@RECIPE
@click.option("--unit", metavar="UNIT", help="`document`, or the user column; default: the recipe's.")
@SET
@JSON
def certify(recipe: str, unit: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Check, step by step, whether a model may be trained privately on the output of RECIPE."""
    import dataclasses

    from corpusmill.pipelines.recipe.certify import certify as run
    from corpusmill.pipelines.recipe.certify import unit_of
    from corpusmill.pipelines.recipe.model import load

    loaded = load(recipe, overrides, check_privacy=False)
    unit = unit or unit_of(loaded)
    certification = run(loaded, unit, assume=loaded.privacy is not None)
    if as_json:
        print_json({**dataclasses.asdict(certification), "certified": not certification.refusals})
    elif not certification.private:
        say("No source is private: nothing needs a guarantee.")
    elif not certification.refusals:
        for name, reach in certification.steps:
            say(f"  {printable(name):<24} {printable(reach)}")
        say(f"Certified for the unit `{unit}` under these assumptions:")
        for assumption in certification.assumptions:
            say(f"  - {printable(assumption)}")
    certification.require()
