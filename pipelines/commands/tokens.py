"""Verbs around tokens: train a tokenizer, export a snapshot to a trainer's format."""

from __future__ import annotations

import click

from corpusmill.pipelines.commands import DATASET, JSON, SET, SNAPSHOT, Named, check_set, print_json
from corpusmill.pipelines.wording import say, size, skipped, some
from corpusmill.transforms.tokens.formats import CATALOGUES, TARGETS


@click.command()
@click.argument("origin", metavar="RECIPE|DIR")
@click.option(
    "--vocab-size",
    type=click.IntRange(256),
    default=32_000,
    show_default=True,
    metavar="N",
    help="Size of the vocabulary.",
)
@click.option("--out", metavar="FILE", help="File to write; default: the recipe's tokenizer, else tokenizer.json.")
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
    """Train a tokenizer on a sample of the documents of a recipe or of a dataset DIR. Same documents, same tokenizer.

    For a recipe, its steps are applied first; steps that need the whole corpus are skipped.
    """
    from corpusmill.pipelines.operations.train_tokenizer import train
    from corpusmill.pipelines.report.progress import Display
    from corpusmill.transforms import storage

    check_set(storage.is_dir(origin), overrides)
    with Display(brief=True) as display:
        result = train(origin, vocab_size, out, special, sample_bytes, overrides, display.update)
    if as_json:
        print_json(result)
        return
    if result["left_out"]:
        say(skipped(result["left_out"]), err=True)
    if result["private"]:
        names = ", ".join(result["private"])
        say(f"It contains text of the private source {names}: no model can be trained privately with it.", err=True)
    say(f"{result['path']} is written: {result['tokens']:,} tokens, SHA-256 {result['sha256']}")


@click.command()
@DATASET
@click.argument("out", metavar="OUT", type=Named(stores=True))
@click.option("--to", required=True, type=click.Choice(TARGETS), help="Format to write.")
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
    from corpusmill.pipelines.report.progress import Display

    if (licence or description) and to not in CATALOGUES:
        raise click.UsageError("--license and --description go with --to croissant")
    with Display(brief=True) as display:
        exported = write(Dataset(dataset), to, out, snapshot, licence, description, display.update)
    if as_json:
        files = [{"path": f.path, "size": f.size, "sha256": f.sha256} for f in exported.files]
        print_json({"rows": exported.rows, "tokens": exported.tokens, "files": files})
        return
    tokens = f" of {exported.tokens:,} tokens" if exported.tokens else ""
    stored = f"{some(len(exported.files), 'file')}, {size(sum(f.size for f in exported.files))}"
    say(f"{out} is written: {exported.rows:,} rows{tokens} ({stored}).")
    if to == "nanogpt" and not any(f.path.endswith("val.bin") for f in exported.files):
        say(
            "It has no val.bin, which nanoGPT's train.py reads: put `split` before `pack`, with `separate: split`.",
            err=True,
        )
