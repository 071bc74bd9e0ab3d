"""The verb `mix`: mixture weights from proxy runs."""

from __future__ import annotations

import click

from corpusmill.pipelines.commands import DATASET, JSON, print_json
from corpusmill.pipelines.wording import printable, say, some

SEED = click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed of the draws.")


@click.group()
def mix() -> None:
    """Learn the weights of the step `mix` from small runs (RegMix)."""


@mix.command()
@DATASET
@click.option(
    "--by", default="source", show_default=True, metavar="COLUMN", help="Column whose values are the domains."
)
@click.option(
    "--runs", "count", type=click.IntRange(1, 100_000), default=64, show_default=True, help="Mixtures to propose."
)
@click.option("--out", required=True, metavar="FILE", help="JSON lines file to write, such as runs.jsonl.")
@SEED
def propose(dataset: str, by: str, count: int, out: str, seed: int) -> None:
    """Propose mixtures of the domains of DIR to train small models on.

    Each line of FILE is one mixture. Train a small model on each, and write its held-out loss beside it, as `loss`.
    """
    import json

    from corpusmill.pipelines.operations.learn_mixture import natural, proposals
    from corpusmill.transforms import storage
    from corpusmill.transforms.errors import DatasetError

    if storage.has_file(out):
        raise DatasetError(f"{out} is there already, perhaps with losses; name another file")
    sizes = natural(dataset, by)
    lines = [json.dumps(run, ensure_ascii=False) for run in proposals(sizes, count, seed)]
    storage.write_atomic(out, ("\n".join(lines) + "\n").encode())
    say(f"{out}: {some(count, 'mixture')} of {', '.join(map(printable, sizes))}")


@mix.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@SEED
@JSON
def learn(files: tuple[str, ...], seed: int, as_json: bool) -> None:
    """Learn weights from runs with losses: JSON lines of `weights` and `loss`.

    Runs without a loss are left out. Runs of before a source was added may be given again: its share there was 0.
    """
    from corpusmill.pipelines.operations import learn_mixture

    found = learn_mixture.learn(learn_mixture.read_runs(files), seed)
    if as_json:
        print_json(found)
        return
    weights = ", ".join(f"{printable(name)}: {weight:.4g}" for name, weight in found["weights"].items())
    say(f"mix: {{weights: {{{weights}}}}}")
    say(
        f"Predicted loss {found['loss']:.4f}, from {some(found['runs'], 'run')}. Error of a run that is left out: "
        f"{found['error']:.4f}; of a constant: {found['baseline']:.4f}."
    )
    if found["unsure"]:
        say("! The error is most of the spread: these runs are too few or too small to rank mixtures.", err=True)
