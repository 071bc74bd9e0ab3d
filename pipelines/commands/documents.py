"""Verbs about single documents: why, look, dropped, pairs, quarantine."""

from __future__ import annotations

from dataclasses import asdict

import click

from corpusmill.pipelines.commands import DATASET, JSON, SET, SNAPSHOT, check_set, print_json
from corpusmill.pipelines.wording import say

COUNT = click.option(
    "-n", "count", type=click.IntRange(1), default=20, show_default=True, metavar="N", help="How many."
)
TEXT = click.option(
    "--text/--no-text", default=True, show_default=True, help="Show texts; they may be read from sources."
)


@click.command()
@DATASET
@click.argument("document", metavar="ID")
@SNAPSHOT
@click.option(
    "--text", is_flag=True, help="Also show its text, its file and its row; they may be read from the sources."
)
@JSON
def why(dataset: str, document: str, snapshot: int | None, text: bool, as_json: bool) -> None:
    """Say what happened to the document ID. Exits with 1 if it is unknown."""
    from corpusmill.pipelines.dataset.snapshot import Dataset
    from corpusmill.pipelines.operations.examples import texts
    from corpusmill.pipelines.report.document import render_text, render_why

    opened = Dataset(dataset)
    manifest = opened.manifest(snapshot)
    answer = opened.why(document, snapshot)
    found = texts(opened, manifest, [document]).get(document) if text else None
    if as_json:
        print_json(answer | ({"text": asdict(found)} if found else {}))
    else:
        say(render_why(answer, manifest))
        if text:
            say(render_text(found))
        elif answer["outcome"] in ("kept", "dropped", "replaced"):
            say(f"Its text: corpusmill why {dataset} ID --text")
    if answer["outcome"] == "unknown":
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("origin", metavar="DIR|RECIPE")
@click.option("--step", metavar="NAME", help="Show what this step did; default: every step.")
@click.option("--id", "document", metavar="ID", help="Show this document, and what is derived from it.")
@click.option("-n", "count", type=click.IntRange(1), default=3, show_default=True, metavar="N", help="How many.")
@SNAPSHOT
@SET
@JSON
def look(
    origin: str,
    step: str | None,
    document: str | None,
    count: int,
    snapshot: int | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show documents before and after a step, side by side.

    For a dataset DIR: derived documents beside their parents. For a RECIPE: what a step does to a few documents of the
    sources, without running the recipe.
    """
    from corpusmill.pipelines.operations.look import of_dataset, of_recipe
    from corpusmill.pipelines.report.look import render
    from corpusmill.transforms import storage

    if storage.is_dir(origin):
        from corpusmill.pipelines.dataset.snapshot import Dataset

        check_set(True, overrides)
        examples = of_dataset(Dataset(origin), snapshot, step, document, count)
    else:
        from corpusmill.pipelines.recipe.model import load

        if snapshot:
            raise click.UsageError("--snapshot goes with a dataset directory")
        examples = of_recipe(load(origin, overrides), step, document, count)
    if as_json:
        print_json({"documents": [asdict(p) for p in examples.pairs], "left_out": examples.left_out})
    else:
        say(render(examples))


@click.command()
@DATASET
@SNAPSHOT
@click.option("--step", metavar="NAME", help="Only documents that this step dropped.")
@click.option("--rule", metavar="NAME", help="Only documents dropped for this reason, as the funnel names it.")
@click.option("--grep", metavar="REGEX", help="Only documents whose text matches; all sources are read.")
@COUNT
@TEXT
@JSON
def dropped(
    dataset: str,
    snapshot: int | None,
    step: str | None,
    rule: str | None,
    grep: str | None,
    count: int,
    text: bool,
    as_json: bool,
) -> None:
    """Show dropped documents with their texts: N of each step and rule, or of the one that is named.

    A text is read again from the sources, and shown as it was read. Without --step, --rule and --grep, N is 3.
    """
    from corpusmill.pipelines.dataset.snapshot import Dataset
    from corpusmill.pipelines.operations import examples
    from corpusmill.pipelines.report.document import render_dropped

    opened = Dataset(dataset)
    manifest = opened.manifest(snapshot)
    if grep is None:
        rows = examples.dropped(opened, snapshot, step, rule, count if step or rule else min(count, 3))
        texts = examples.texts(opened, manifest, [r["id"] for r in rows]) if text else {}
    else:
        from itertools import islice

        from corpusmill.pipelines.operations.search_dropped import search
        from corpusmill.pipelines.report.progress import Display

        examples.dropped(opened, snapshot, step, rule, 1)  # tells unknown names
        with Display(brief=True) as display:
            matches = search(opened, manifest, grep, step=step, reason=rule, tell=display.update)
            found = sorted(islice(matches, count), key=lambda pair: (pair[0]["step"], pair[0]["reason"]))
        rows = [row for row, _ in found]
        texts = {row["id"]: match for row, match in found} if text else {}
    if as_json:
        print_json([r | {"text": texts[r["id"]].text if r["id"] in texts else None} for r in rows])
    else:
        nothing = "No document was dropped." if grep is None else "No dropped document matches."
        say(render_dropped(rows, texts, manifest) or nothing)


@click.command()
@DATASET
@SNAPSHOT
@COUNT
@TEXT
@JSON
def pairs(dataset: str, snapshot: int | None, count: int, text: bool, as_json: bool) -> None:
    """Show pairs of near-duplicates with their differences, the least similar first."""
    from corpusmill.pipelines.dataset.snapshot import Dataset
    from corpusmill.pipelines.operations import examples
    from corpusmill.pipelines.report.document import render_pairs

    opened = Dataset(dataset)
    rows = examples.pairs(opened, snapshot, count)
    ids = {r[side] for r in rows for side in ("id_a", "id_b")}
    texts = examples.texts(opened, opened.manifest(snapshot), ids) if text else {}
    if as_json:
        found = {name: t.text for name, t in texts.items()}
        print_json([r | {"text_a": found.get(r["id_a"]), "text_b": found.get(r["id_b"])} for r in rows])
    else:
        say(render_pairs(rows, texts))


@click.command()
@DATASET
@SNAPSHOT
@COUNT
@JSON
def quarantine(dataset: str, snapshot: int | None, count: int, as_json: bool) -> None:
    """Show rows that could not be read, with file, position and reason."""
    from corpusmill.pipelines.dataset.snapshot import Dataset
    from corpusmill.pipelines.operations import examples
    from corpusmill.pipelines.report.document import render_quarantine

    opened = Dataset(dataset)
    rows = examples.quarantine(opened, snapshot, count)
    if as_json:
        print_json(rows)
    else:
        say(render_quarantine(rows, opened.manifest(snapshot)["funnel"]["quarantined"]))
