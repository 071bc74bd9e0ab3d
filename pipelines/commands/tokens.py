"""Verbs around tokens: train a tokenizer, export a snapshot to a trainer's format."""

from __future__ import annotations

import click

from corpusmill.pipelines.commands import DATASET, JSON, SET, SNAPSHOT, print_json


@click.command(short_help="Train a byte-level BPE tokenizer.")
@click.argument("origin", metavar="RECIPE|DIR")
@click.option("--vocab-size", type=click.IntRange(256), default=32_000, show_default=True, metavar="N", help="Tokens.")
@click.option("--out", metavar="FILE", help="Where to write it; default: the recipe's own, else tokenizer.json.")
@click.option("--special", multiple=True, metavar="TOKEN", help="A further special token; repeatable.")
@click.option(
    "--sample-bytes", type=click.IntRange(1), default=64 << 20, metavar="N", help="Text to train on. [default: 64 MiB]"
)
@SET
@JSON
def tokenizer(
    origin: str,
    vocab_size: int,
    out: str | None,
    special: tuple[str, ...],
    sample_bytes: int,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Train a tokenizer on a sample of the documents of a recipe or of a dataset DIR, the same for the same documents.

    Of a recipe: the documents behind the steps that need no other document, as `run` would hand them to `pack`.
    """
    from corpusmill.pipelines.operations.train_tokenizer import train
    from corpusmill.transforms import storage

    if storage.is_dir(origin) and overrides:
        raise click.UsageError("--set goes with a recipe")
    made = train(origin, vocab_size, out, special, sample_bytes, overrides)
    if as_json:
        print_json(made)
        return
    if made["left_out"]:
        click.echo(f"Without {', '.join(made['left_out'])}: a sample stands in for the whole corpus.", err=True)
    if made["private"]:
        names = ", ".join(made["private"])
        click.echo(f"It carries text of the private source {names}: nothing can be trained privately on it.", err=True)
    click.echo(f"{made['path']} is written: {made['tokens']:,} tokens, SHA-256 {made['sha256']}")


@click.command(short_help="Write a snapshot in a trainer's or catalogue's format.")
@DATASET
@click.argument("out", metavar="OUT")
@click.option(
    "--to", required=True, type=click.Choice(["megatron", "mds", "nanogpt", "croissant"]), help="Format to write."
)
@click.option("--license", "licence", default="", metavar="SPDX", help="With croissant: the licence of the data.")
@click.option("--description", default="", metavar="TEXT", help="With croissant: what the dataset is.")
@SNAPSHOT
@JSON
def export(
    dataset: str, out: str, to: str, licence: str, description: str, snapshot: int | None, as_json: bool
) -> None:
    """Write a snapshot of DIR to OUT: a folder of megatron, mds or nanogpt files, or Croissant metadata."""
    from corpusmill.pipelines.dataset.snapshot import Dataset
    from corpusmill.pipelines.operations.export import export as write
    from corpusmill.pipelines.wording import size

    if (licence or description) and to != "croissant":
        raise click.UsageError("--license and --description go with --to croissant")
    made = write(Dataset(dataset), to, out, snapshot, licence, description)
    if as_json:
        print_json(
            {
                "rows": made.rows,
                "tokens": made.tokens,
                "files": [{"path": f.path, "size": f.size, "sha256": f.sha256} for f in made.files],
            }
        )
        return
    tokens = f" of {made.tokens:,} tokens" if made.tokens else ""
    files = f"{len(made.files)} file{'' if len(made.files) == 1 else 's'}, {size(sum(f.size for f in made.files))}"
    click.echo(f"{out} is written: {made.rows:,} rows{tokens} ({files}).")
