"""The verb `scorer`: train, measure and describe text classifiers for the step `quality`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from corpusmill.pipelines.commands import JSON, Named, print_json
from corpusmill.pipelines.wording import say

if TYPE_CHECKING:
    from corpusmill.pipelines.operations.scorer_data import Labelled


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
        click.option(
            "--at-least", type=float, metavar="N", help="Labels are numbers; from N on a document is one to be like."
        ),
    ):
        command = option(command)
    return command


def _read(options: dict[str, Any]) -> Labelled:
    from corpusmill.pipelines.operations.scorer_data import labelled

    like, unlike, labels = (options[n] for n in ("like", "unlike", "labels"))
    if labels and (like or unlike):
        raise click.UsageError("give either --labels, or --like and --unlike")
    if not labels and not (like and unlike):
        raise click.UsageError("name files by --like and --unlike, or by --labels")
    if options["at_least"] is not None and not labels:
        raise click.UsageError("--at-least is about the numbers of --labels")
    return labelled(like, unlike, labels, options["text_column"], options["label_column"], options["at_least"])


def _characters(_: click.Context, __: click.Parameter, value: str) -> tuple[int, int]:
    """`2-4` as (2, 4)."""
    try:
        shortest, longest = (int(part) for part in value.split("-"))
    except ValueError:
        raise click.BadParameter(f"{value!r}: write it as 2-4, or 0-0 for none") from None
    if (shortest, longest) != (0, 0) and not 1 <= shortest <= longest <= 10:
        raise click.BadParameter(f"{value!r}: both lie between 1 and 10, the shorter first")
    return shortest, longest


@scorer.command()
@_data
@click.option("--pairs", multiple=True, metavar="FILE", help="Pairs with columns chosen and rejected; repeatable.")
@click.option(
    "--evaluation", multiple=True, metavar="FILE", help="Evaluation set that must not be trained on; repeatable."
)
@click.option(
    "--out",
    required=True,
    type=Named(),
    metavar="FILE|FOLDER/",
    help="Scorer file to write; a folder, if it ends with a slash.",
)
@click.option("--ngram", type=click.IntRange(1, 5), default=2, show_default=True, help="Longest n-gram, in words.")
@click.option(
    "--characters",
    default="0-0",
    show_default=True,
    callback=_characters,
    metavar="N-M",
    help="Also runs of N to M characters of words.",
)
@click.option(
    "--dims",
    type=click.IntRange(0, 1024),
    default=0,
    show_default=True,
    help="Averaged embeddings of this width; 0: linear.",
)
@click.option(
    "--buckets", type=click.IntRange(2, 1 << 26), default=1 << 20, show_default=True, help="Hash buckets for n-grams."
)
@click.option("--epochs", type=click.IntRange(1, 1000), default=5, show_default=True, help="Passes over the documents.")
@JSON
def train(as_json: bool, out: str, pairs: tuple[str, ...], evaluation: tuple[str, ...], **options: Any) -> None:
    """Train a scorer. Same documents, same scorer. A tenth of the documents is held out to calibrate and measure it.

    FILE may be a dataset, too, such as one that the step `annotate` made.
    """
    from corpusmill.pipelines.operations import train_scorer
    from corpusmill.pipelines.operations.scorer_data import pairs as read_pairs
    from corpusmill.transforms.select._features import Grams
    from corpusmill.transforms.select._train import Training

    grams = Grams(options["ngram"], options["buckets"], *options["characters"])
    training = Training(grams, options["epochs"], options["dims"])
    if pairs:
        if any(options[n] for n in ("like", "unlike", "labels")) or options["dims"]:
            raise click.UsageError("--pairs stands alone, for the linear form: leave the labels and --dims out")
        trained = train_scorer.train_on_pairs(read_pairs(pairs), training, evaluation)
    else:
        trained = train_scorer.train_scorer(_read(options), training, evaluation)
    lines = _card(trained.labels, trained.card)
    path = train_scorer.write(trained, out, "\n\n".join(["# A scorer for the step `quality`", *lines]) + "\n")
    if as_json:
        print_json(trained.card)
        return
    say(f"{path} is written.")
    for line in lines:
        say(line)


@scorer.command(name="eval")
@click.argument("path", metavar="SCORER")
@_data
@JSON
def evaluate(path: str, as_json: bool, **options: Any) -> None:
    """Measure SCORER on labelled documents that it was not trained on."""
    from corpusmill.pipelines.operations import train_scorer

    figures = train_scorer.evaluate(path, _read(options))
    if as_json:
        print_json(figures)
        return
    for line in _sentences(figures):
        say(line)


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
    for line in _card(opened.labels, opened.card):
        say(line)


def _card(labels: tuple[str, ...], card: dict[str, Any]) -> list[str]:
    """A scorer's card in sentences."""
    lines = []
    if counts := card.get("documents"):
        lines.append("Trained on: " + ", ".join(f"{counts.get(n, 0):,} {n}" for n in labels[:20]) + ".")
    if "pairs" in card:
        lines.append(f"Trained on: {card['pairs']:,} pairs.")
    if private := card.get("private"):
        lines.append(f"Private: it was learned from {', '.join(private)}.")
    if twice := card.get("judge"):
        said = f"equal {twice['equal']}, within one {twice['within_one']}, weighted kappa {twice['kappa']}"
        lines.append(f"The judge was asked twice about {twice['documents']:,} documents: {said}.")
    if figures := card.get("held_out"):
        first, *rest = _sentences(figures)
        lines += [f"Held out: {first}", *rest]
    return lines


def _sentences(figures: dict[str, Any]) -> list[str]:
    """Figures in sentences: overall, then by language and source."""
    if "pairs" in figures:
        return [f"{figures['pairs']} pairs, accuracy {figures['accuracy']}."]
    lines = [_sentence(figures)]
    for facet in (n for n in figures if n.startswith("by_")):
        word = {"by_lang": "Language", "by_source": "Source"}[facet]
        lines += [f"{word} {value}: {_sentence(each)}" for value, each in figures[facet].items()]
    return lines


def _sentence(figures: dict[str, Any]) -> str:
    parts = [f"{figures['documents']} documents", f"accuracy {figures['accuracy']}", f"macro-F1 {figures['macro_f1']}"]
    parts += [f"AUC {figures['auc']}"] if figures["auc"] is not None else []
    return ", ".join([*parts, f"calibration error {figures['calibration_error']}"]) + "."
