"""The verb `perplexity`: train, convert and describe n-gram models for the steps perplexity and reweight."""

from __future__ import annotations

import click

from corpusmill.pipelines.commands import JSON, SET, check_set, print_json
from corpusmill.pipelines.wording import say, skipped


@click.group()
def perplexity() -> None:
    """Train, convert and describe n-gram models for the steps perplexity and reweight."""


@perplexity.command()
@click.argument("origin", metavar="RECIPE|DIR")
@click.option("--out", required=True, metavar="FILE", help="Model to write, such as wiki.safetensors.")
@click.option("--order", type=click.IntRange(2, 5), default=5, show_default=True, help="Longest n-gram.")
@click.option(
    "--units",
    type=click.Choice(["words", "pieces", "tokens"]),
    help="What is counted: lower-cased words, pieces between white space, or tokens.",
)
@click.option("--tokenizer", metavar="FILE", help="tokenizer.json whose tokens are counted.")
@click.option(
    "--memory",
    type=click.IntRange(1 << 20),
    default=1 << 30,
    metavar="N",
    help="Memory in bytes, about. [default: 1 GiB]",
)
@SET
@JSON
def train(
    origin: str,
    out: str,
    order: int,
    units: str | None,
    tokenizer: str | None,
    memory: int,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Train a model on the documents of a recipe or of a dataset DIR. Same documents, same model.

    For a recipe, its steps are applied first; steps that need the whole corpus are skipped.
    """
    from corpusmill.pipelines.operations.train_ngrams import train as train_ngrams
    from corpusmill.transforms import storage

    check_set(storage.is_dir(origin), overrides)
    result = train_ngrams(origin, out, order, units, tokenizer, memory, overrides)
    if as_json:
        print_json(result)
        return
    if result["left_out"]:
        say(skipped(result["left_out"]), err=True)
    if result["private"]:
        say(f"It is learned from the private source {', '.join(result['private'])}.", err=True)
    say(f"{out} is written: {sum(result['ngrams']):,} n-grams of up to {order} {result['units']}.")


@perplexity.command()
@click.argument("arpa", metavar="FILE.arpa")
@click.option("--out", required=True, metavar="FILE", help="Model to write, such as wiki.safetensors.")
@click.option("--tokenizer", metavar="FILE", help="tokenizer.json whose tokens the words of the file are.")
@JSON
def convert(arpa: str, out: str, tokenizer: str | None, as_json: bool) -> None:
    """Convert an ARPA file of KenLM or SRILM, which may be compressed, into a model that is mapped."""
    from corpusmill.transforms.ngrams._arpa import convert as convert_arpa

    card = convert_arpa(arpa, out, tokenizer)
    if as_json:
        print_json(card)
        return
    counts = card["ngrams"]
    say(f"{out} is written: {', '.join(f'{n:,}' for n in counts)} n-grams of 1 to {len(counts)} words.")


@perplexity.command()
@click.argument("path", metavar="MODEL")
@JSON
def card(path: str, as_json: bool) -> None:
    """Print what MODEL counts and what it was trained on."""
    from corpusmill.transforms.ngrams._table import open_model

    head = open_model(path).head
    described = {"order": head.order, "units": head.units, "tokenizer": head.tokenizer, **head.card}
    if as_json:
        print_json(described)
        return
    for name, value in described.items():
        say(f"{name}: {value}")
