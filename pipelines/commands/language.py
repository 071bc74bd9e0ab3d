"""The verb `language`: train and measure models of languages for the step language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from corpusmill.pipelines.commands import JSON, print_json
from corpusmill.pipelines.wording import say


@click.group()
def language() -> None:
    """Train and measure models of languages for the step language."""


def _data(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that name text of known languages."""
    for option in (
        click.option(
            "--labels",
            multiple=True,
            required=True,
            metavar="PATH",
            help="Folder of files CODE.txt, or a file with a column of codes; repeatable.",
        ),
        click.option("--text-column", default="text", show_default=True, metavar="NAME", help="Column of the text."),
        click.option("--label-column", default="lang", show_default=True, metavar="NAME", help="Column of the code."),
    ):
        command = option(command)
    return command


@language.command()
@_data
@click.option("--out", required=True, metavar="FILE", help="Model to write, such as lid.safetensors.")
@click.option("--order", type=click.IntRange(1, 6), default=4, show_default=True, help="Longest n-gram, in letters.")
@JSON
def train(labels: tuple[str, ...], text_column: str, label_column: str, out: str, order: int, as_json: bool) -> None:
    """Train a model of languages. Same texts, same model. Some kilobytes of text a language are enough to tell most apart."""
    from corpusmill.pipelines.operations.train_languages import texts_of, train_languages

    model = train_languages(*texts_of(labels, text_column, label_column), order)
    model.save(out)
    if as_json:
        print_json({"path": out, **model.card})
        return
    accuracy = model.card["held_out_accuracy"]
    known = "" if accuracy is None else f", {accuracy:.1%} right on pieces that were held out"
    say(f"{out} is written: {len(model.names):,} languages{known}.")


@language.command(name="eval")
@click.argument("path", metavar="MODEL")
@_data
@click.option("--chars", type=click.IntRange(20, 10_000), default=300, show_default=True, help="Characters it sees.")
@JSON
def evaluate(
    path: str, labels: tuple[str, ...], text_column: str, label_column: str, chars: int, as_json: bool
) -> None:
    """Measure MODEL on texts that it was not trained on."""
    from corpusmill.pipelines.operations import train_languages

    figures = train_languages.evaluate(path, *train_languages.texts_of(labels, text_column, label_column), chars)
    if as_json:
        print_json(figures)
        return
    say(f"{figures['accuracy']:.1%} of {figures['documents']:,} texts in {figures['languages']:,} languages are right.")
    for code, guess, times in figures["confusions"]:
        say(f"  {code} taken for {guess}: {times}")
