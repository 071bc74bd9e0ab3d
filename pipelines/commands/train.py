"""Verbs around a model: train, eval, generate, chat, export-model."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from corpusmill.pipelines.commands import JSON, NOTHING_NEW, Finite, print_json
from corpusmill.pipelines.wording import clean, count, say
from corpusmill.transforms.display import printable

if TYPE_CHECKING:
    from corpusmill.training.settings import TrainSettings

TERMINATED = 143
"""Exit code after SIGTERM, once the checkpoint is written: 128 + 15, as if the signal had ended the process."""
STOPPED = {"SIGTERM": ("Stopped by SIGTERM", TERMINATED), "SIGINT": ("Interrupted", 130)}
"""Signal that stopped a run, once the checkpoint is written -> (in words, exit code)."""

MODEL = click.argument("model", metavar="RUN")
SEED = click.option("--seed", type=click.IntRange(0), default=1, show_default=True, metavar="N", help="Seed of draws.")


@click.command()
@click.argument("settings", metavar="SETTINGS")
@click.option("--set", "overrides", metavar="A.B=C", multiple=True, help="Override a setting; repeatable.")
@JSON
def train(settings: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Train as SETTINGS (a train.yaml) says, from the newest checkpoint in its output. Exits with 3 if it is complete.

    With a section `privacy`, the recipe of the training dataset is certified first.
    Ctrl-C and SIGTERM write a checkpoint, and exit with 130 and 143. Under torchrun:
    `torchrun --nproc-per-node 8 -m corpusmill.pipelines.cli train ...`.
    """
    from corpusmill.pipelines.recipe.train_section import is_trained
    from corpusmill.training.settings import load

    loaded = load(settings, overrides)
    complete = is_trained(loaded)
    result = train_guarded(loaded)
    first = is_first_process()
    if as_json and first:
        print_json(result)
    print_result(result, quiet=as_json or not first)
    stop_if_told(result)
    if complete and "RANK" not in os.environ:  # torchrun takes any code but 0 for a failure
        if not as_json:
            say("Nothing new: this run is complete.")
        raise click.exceptions.Exit(NOTHING_NEW)


@click.command("eval")
@MODEL
@click.option("--data", metavar="PATH", help="Shards or a file of documents; default: the run's own validation data.")
@click.option("--rows", type=click.IntRange(0), default=0, metavar="N", help="Rows to measure. [default: all]")
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    help="Of rows with a column `split`, those of this one. [default: validation]",
)
@JSON
def evaluate(model: str, data: str | None, rows: int, split: str | None, as_json: bool) -> None:
    """Measure loss, accuracy and bits per byte of RUN, in total and by domain. RUN is a run's folder or a checkpoint."""
    from corpusmill.pipelines.report.progress import Display
    from corpusmill.training import commands

    with Display(brief=True) as display:
        result = commands.evaluate(model, data, rows, display.update, split)
    if as_json:
        print_json(result)
        return
    say(f"{result['checkpoint']} on {result['data']}" + (f", split {result['split']}" if result["split"] else ""))
    if result["trained_on"]:
        say(
            "The model was trained on these rows, so the figures say nothing about new text. Name other rows with --data."
        )
    say(render(result))


@click.command()
@MODEL
@click.argument("prompts", nargs=-1, metavar="[PROMPT]...")
@click.option("--max-tokens", type=click.IntRange(1), default=128, show_default=True, metavar="N", help="Longest text.")
@click.option("--temperature", type=Finite(0), default=0.8, show_default=True, metavar="T", help="0: greedy.")
@click.option(
    "--top-k",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="K",
    help="Draw from the K best tokens; 0: all.",
)
@click.option("--top-p", type=Finite(0, 1, min_open=True), default=0.95, show_default=True, help="Nucleus.")
@SEED
@JSON
def generate(
    model: str,
    prompts: tuple[str, ...],
    max_tokens: int,
    temperature: float,
    top_k: int,
    top_p: float,
    seed: int,
    as_json: bool,
) -> None:
    """Continue each PROMPT, or each line of standard input. An encoder-decoder answers it.

    The same prompt and seed give the same text.
    """
    from corpusmill.pipelines.report.progress import Display
    from corpusmill.training import commands

    given = list(prompts) or [line.rstrip("\n") for line in sys.stdin]
    if not given:
        raise click.UsageError("give a prompt, or lines on standard input")
    with Display(brief=True) as display:
        texts = commands.generate(model, given, max_tokens, temperature, top_k, top_p, seed, display.update)
    if as_json:
        print_json([{"prompt": prompt, "text": text} for prompt, text in zip(given, texts)])
        return
    continues = commands.continues(model)
    for prompt, text in zip(given, texts):
        say(clean(prompt + text if continues else text))


@click.command()
@MODEL
@click.option("--max-tokens", type=click.IntRange(1), default=256, show_default=True, metavar="N", help="Longest text.")
@click.option("--temperature", type=Finite(0), default=0.7, show_default=True, metavar="T", help="0: greedy.")
@click.option("--top-p", type=Finite(0, 1, min_open=True), default=0.95, show_default=True, help="Nucleus.")
@SEED
def chat(model: str, max_tokens: int, temperature: float, top_p: float, seed: int) -> None:
    """Answer each line of standard input separately, until the input ends."""
    from corpusmill.training import commands

    for answer in commands.chat(model, _lines(), max_tokens, temperature, top_p, seed):
        say(clean(answer))


@click.command("export-model")
@MODEL
@click.argument("out", metavar="OUT")
@click.option("--adapters", is_flag=True, help="Write LoRA's adapters alone, as peft reads them.")
def export_model(model: str, out: str, adapters: bool) -> None:
    """Write RUN's model to OUT for other tools, in safetensors.

    A decoder of corpusmill becomes a Llama checkpoint. A tuned Hugging Face model is written as it came, with its tokenizer.
    Adapters are merged first.
    """
    from corpusmill.training import commands

    say(f"{commands.export(model, out, adapters)} is written.")


def _lines() -> Iterator[str]:
    """Lines of standard input as they come, with a prompt sign at a terminal."""
    stream = sys.stdin
    while True:
        if stream.isatty():
            say("> ", nl=False, err=True)
        line = stream.readline()
        if not line:
            return
        yield line


def is_first_process() -> bool:
    """Whether this process prints. Under torchrun, only the first one does."""
    return os.environ.get("RANK", "0") == "0"


def train_guarded(settings: TrainSettings) -> dict[str, Any]:
    """Train, with a certification of the data if the run is private; warn before an unprotected run on private text."""
    from corpusmill.pipelines.recipe.certify import of_training
    from corpusmill.pipelines.report.progress import Display
    from corpusmill.training import commands, provenance

    warns = settings.privacy is None and is_first_process()
    if warns and (unguarded := provenance.of_settings(settings.model_dump(mode="json")).unguarded):
        say(
            f"No guarantee: this run learns from the {' and the '.join(unguarded)} without protection. Keep the model and its "
            "output where that text may be seen. Private training refuses such a model. A section `privacy` gives a guarantee.",
            err=True,
        )
    certification = of_training(settings)
    if not is_first_process():
        return commands.train(settings, certification=certification)
    with Display(brief=True) as display:
        return commands.train(settings, certification=certification, tell=display.update)


def print_result(result: dict[str, Any], quiet: bool = False) -> None:
    """Print the result of a training run."""
    if not quiet:
        say(_summary(result))


def stop_if_told(result: dict[str, Any]) -> None:
    """Exit with 143 if SIGTERM stopped the training run of this result, with 130 if Ctrl-C did."""
    if result["stopped"] in STOPPED:
        raise click.exceptions.Exit(STOPPED[result["stopped"]][1])


def _summary(result: dict[str, Any]) -> str:
    loss = f", loss {result['loss']:.4f}" if "loss" in result else ""
    lines = [f"{result['checkpoint']}: step {result['step']:,}{loss}, {result['parameters']:,} parameters."]
    if "epsilon" in result:
        spent = f"its population has spent epsilon {result['epsilon']:.3f} at delta {result['delta']:g}"
        certified = "" if result["certified"] else "; NOT certified: the figure bounds nothing"
        lines.append(f"Private: noise {result['sigma']:.3f}; {spent}{certified}.")
    if result["stopped"] in STOPPED:
        lines.append(f"{STOPPED[result['stopped']][0]}. The same command continues from this checkpoint.")
    elif result["stopped"]:
        lines.append(f"Stopped: {result['stopped']}.")
    if "validation" in result:
        lines.append(render(result["validation"]))
    return "\n".join(lines)


def render(measured: dict[str, Any]) -> str:
    """Tables of the result of `corpusmill.training.evaluate.measure`: all rows, then each domain; and the classes."""
    from corpusmill.pipelines.report.terminal import Column, table

    figures = [("all", measured), *sorted(measured.get("domains", {}).items())]
    columns: list[str | Column] = [
        "domain",
        *(Column(n, True) for n in ("targets", "loss", "accuracy", "bits per byte")),
    ]
    rows = [
        [
            name,
            count(f["targets"]),
            f"{f['loss']:.4f}",
            f"{f['accuracy']:.3f}",
            f"{f['bits_per_byte']:.4f}" if "bits_per_byte" in f else "",
        ]
        for name, f in figures
    ]
    if "classes" not in measured:
        return table(columns, rows)
    named: list[str | Column] = ["class", *(Column(n, True) for n in ("targets", "precision", "recall", "F1"))]
    classes = [
        [printable(name), count(f["targets"]), *(f"{f[key]:.3f}" for key in ("precision", "recall", "f1"))]
        for name, f in measured["classes"].items()
    ]
    classes.append(["mean of classes", "", "", "", f"{measured['macro_f1']:.3f}"])
    return f"{table(columns, rows)}\n{table(named, classes)}"
