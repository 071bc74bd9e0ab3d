"""The verb `scorer`: train, measure and describe text classifiers for the step `quality`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from corpusmill.pipelines.commands import JSON, print_json
from corpusmill.pipelines.wording import say


@click.group()
def scorer() -> None:
    """Train and measure text classifiers for the step `quality`."""


def _data(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that name labelled documents."""
    for option in (
        click.option("--like", multiple=True, metavar="FILE", help="Documents to be like; repeatable."),
        click.option("--unlike", multiple=True, metavar="FILE", help="Documents to be unlike; repeatable."),
        click.option("--labels", multiple=True, metavar="FILE", help="Documents with a column of labels; repeatable."),
        click.option("--text-column", default="", metavar="NAME", help="Column of the text; default: a known name."),
        click.option("--label-column", default="label", show_default=True, metavar="NAME", help="Column of the label."),
    ):
        command = option(command)
    return command


def _read(
    like: tuple[str, ...], unlike: tuple[str, ...], labels: tuple[str, ...], text_column: str, label_column: str
) -> tuple[object, list[str]]:
    from corpusmill.pipelines.operations.train_scorer import labelled

    if labels and (like or unlike):
        raise click.UsageError("give either --labels, or --like and --unlike")
    if not labels and not (like and unlike):
        raise click.UsageError("name files by --like and --unlike, or by --labels")
    return labelled(like, unlike, labels, text_column, label_column)


@scorer.command()
@_data
@click.option("--out", required=True, metavar="FILE", help="Scorer file to write, such as scorer.safetensors.")
@click.option("--ngram", type=click.IntRange(1, 5), default=2, show_default=True, help="Longest n-gram, in words.")
@click.option(
    "--buckets", type=click.IntRange(2, 1 << 26), default=1 << 20, show_default=True, help="Hash buckets for n-grams."
)
@click.option("--epochs", type=click.IntRange(1, 1000), default=5, show_default=True, help="Passes over the documents.")
@JSON
def train(
    like: tuple[str, ...],
    unlike: tuple[str, ...],
    labels: tuple[str, ...],
    text_column: str,
    label_column: str,
    out: str,
    ngram: int,
    buckets: int,
    epochs: int,
    as_json: bool,
) -> None:
    """Train a scorer. Same documents, same scorer. A tenth of the documents is held out to calibrate and measure it."""
    from corpusmill.pipelines.operations.train_scorer import train_scorer

    texts, names = _read(like, unlike, labels, text_column, label_column)
    trained = train_scorer(texts, names, (*like, *unlike, *labels), ngram, buckets, epochs)
    trained.save(out)
    if as_json:
        print_json(trained.card)
        return
    say(f"{out} is written.")
    _say_card(trained.labels, trained.card)


@scorer.command(name="eval")
@click.argument("path", metavar="SCORER")
@_data
@JSON
def evaluate(
    path: str,
    like: tuple[str, ...],
    unlike: tuple[str, ...],
    labels: tuple[str, ...],
    text_column: str,
    label_column: str,
    as_json: bool,
) -> None:
    """Measure SCORER on labelled documents that it was not trained on."""
    from corpusmill.pipelines.operations import train_scorer

    texts, names = _read(like, unlike, labels, text_column, label_column)
    figures = train_scorer.evaluate(path, texts, names)
    if as_json:
        print_json(figures)
        return
    say(_sentence(figures))


@scorer.command()
@click.argument("path", metavar="SCORER")
@JSON
def card(path: str, as_json: bool) -> None:
    """Print what SCORER was trained on, and its figures on held-out documents."""
    from corpusmill.transforms.select._linear import open_scorer

    opened = open_scorer(path)
    if as_json:
        print_json({"labels": opened.labels, **opened.card})
        return
    _say_card(opened.labels, opened.card)


def _say_card(labels: tuple[str, ...], card: dict[str, object]) -> None:
    counts = card.get("documents")
    if isinstance(counts, dict):
        say("Trained on: " + ", ".join(f"{counts.get(n, 0):,} {n}" for n in labels[:20]) + ".")
    figures = card.get("held_out")
    if isinstance(figures, dict):
        say("Held out: " + _sentence(figures))


def _sentence(figures: dict[str, object]) -> str:
    parts = [f"{figures['documents']} documents", f"accuracy {figures['accuracy']}", f"macro-F1 {figures['macro_f1']}"]
    parts += [f"AUC {figures['auc']}", f"calibration error {figures['calibration_error']}"]
    return ", ".join(parts) + "."
