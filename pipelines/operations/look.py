"""Documents before and after a step: `corpusmill look`.

For a dataset: derived documents (noise, generated text) beside their parents. For a recipe: what a step does to a few
documents of the sources, without a run. Steps that need the whole corpus are skipped and named.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.dataset.packed import is_packed
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.engine.chain import Chain
from corpusmill.pipelines.engine.sample_documents import alone, splits_of
from corpusmill.pipelines.recipe.model import Recipe, Step
from corpusmill.transforms.base import Group, Terminal
from corpusmill.transforms.errors import DatasetError, RecipeError
from corpusmill.transforms.manifest import Manifest
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.shards import read_shard
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.read import read_split

FEW_ROWS = 512
"""Documents of a split that are tried before the next split is read."""


@dataclass(frozen=True)
class Pair:
    """A document before and after a step.

    id: of the document after the step. parent: id of the document before it, if that differs. before: None if the parent is
    not in the snapshot. after: None if a filter dropped it. note: what was done to it.
    """

    id: str
    parent: str | None
    source: str
    before: str | None
    after: str | None
    note: str


@dataclass(frozen=True)
class Look:
    """The pairs, and the names of the steps that were skipped."""

    pairs: list[Pair]
    left_out: list[str]


def of_dataset(dataset: Dataset, number: int | None, step: str | None, document: str | None, count: int) -> Look:
    """Find derived documents of a snapshot and their parents.

    Args:
        dataset: where to look.
        number: of the snapshot; None for the newest.
        step: only documents that this step derived.
        document: only this id, or documents derived from it.
        count: how many pairs at most.

    Raises:
        DatasetError: there are none, or the snapshot holds tokens.
    """
    manifest = dataset.manifest(number)
    if is_packed(manifest["schema"]):
        raise DatasetError(
            f"{dataset.path} holds packed tokens; look at its recipe: `corpusmill look RECIPE --step NAME`"
        )
    derived = [
        row
        for batch in _columns(dataset, manifest, ["id", "source", "text", "parent", "derived_by", "epoch"])
        if "parent" in batch.schema.names
        for row in _wanted(batch, step, document)
    ]
    if not derived:
        what = f" of `{step}`" if step else ""
        about = f" that is or comes from {document}" if document else ""
        raise DatasetError(
            f"{dataset.path}: snapshot {manifest['number']} holds no derived document{what}{about}. What a step does to "
            "the documents of a recipe: `corpusmill look RECIPE --step NAME`."
        )
    chosen = _drawn(derived, count)
    parents = _texts(dataset, manifest, {r["parent"] for r in chosen})
    return Look(
        [
            Pair(r["id"], r["parent"], r["source"], parents.get(r["parent"]), r["text"], r["derived_by"] or "")
            for r in chosen
        ],
        [],
    )


def of_recipe(recipe: Recipe, step: str | None, document: str | None, count: int) -> Look:
    """Apply a step to a few documents of the sources. Without `step`: all steps that work on single documents.

    Documents that do not change are left out, unless `document` names one.

    Raises:
        RecipeError: there is no such step, it needs the whole corpus, or it changes none of the documents that were tried.
    """
    steps = recipe.bound_steps()
    before, shown = _split(steps, step)
    before, out = alone(before)
    shown, more = alone(shown)
    found: dict[str, Pair] = {}
    tried = 0
    for spec, split in splits_of(recipe):
        for batch in read_split(split, spec, BadRows(split.source), batch_rows=FEW_ROWS):
            batch = batch.slice(0, FEW_ROWS) if document is None else _one(batch, document)
            tried += batch.num_rows
            if batch.num_rows:
                new = _pairs(before, shown, recipe.seed, split.source, batch, changed=document is None)
                found.update({p.id: p for p in new})
            if document is None or found:
                break
        if (document is None and len(found) >= 4 * count) or (document is not None and found):
            break
    if not found:
        what = f"step {step}" if step else "the recipe"
        if document is not None:
            raise RecipeError(f"no document {document} reaches {what}; ids are compared whole")
        raise RecipeError(f"{what} changes none of the {tried:,} documents that were tried; ask for one with --id")
    rows = [{"id": p.id, "pair": p} for p in found.values()]
    return Look([r["pair"] for r in _drawn(rows, count)], out + more)


def _split(steps: list[Step], name: str | None) -> tuple[list[Step], list[Step]]:
    if name is None:
        return [], steps
    place = next((i for i, s in enumerate(steps) if s.name == name), None)
    if place is None:
        names = ", ".join(s.name for s in steps) or "none"
        raise RecipeError(f"the recipe has no step `{name}`; its steps are: {names}")
    if isinstance(steps[place].transform, Group):
        raise RecipeError(
            f"step {name} needs the whole corpus; run the recipe, and ask `corpusmill why DIR ID` what it did to a document"
        )
    if isinstance(steps[place].transform, Terminal):
        raise RecipeError(f"step {name} makes rows that are no documents; look at a step before it")
    return steps[:place], [steps[place]]


def _pairs(
    before: list[Step], shown: list[Step], seed: int, source: str, batch: pa.RecordBatch, changed: bool
) -> Iterator[Pair]:
    """The documents of a batch before and after the steps `shown`."""
    entered = Chain(before, seed, source).run(batch)
    chain = Chain(shown, seed, source)
    left = chain.run(entered)
    ids = entered.column("id").to_pylist()  # equal documents without an id column have equal ids
    texts = dict(zip(ids, entered.column("text").to_pylist(), strict=True))
    sources = dict(zip(ids, entered.column("source").to_pylist(), strict=True))
    columns = [left.column(n).to_pylist() if n in left.schema.names else [None] * left.num_rows for n in _BEHIND]
    for name, text, parent, how in zip(*columns, strict=True):
        origin = name if name in texts else parent
        old = texts.get(origin)
        if not changed or text != old:
            yield Pair(name, None if origin == name else origin, sources.get(origin, source), old, text, how or "")
    for row in chain.ledger().to_pylist():
        if row["id"] in texts and row["reason"] != "replaced":
            value = row["value"]
            score = "" if value is None or value != value else f" ({value:.4g})"
            note = f"dropped by {row['step']} for {row['reason']}{score}"
            yield Pair(row["id"], None, row["source"], texts[row["id"]], None, note)


_BEHIND = ("id", "text", "parent", "derived_by")


def _one(batch: pa.RecordBatch, document: str) -> pa.RecordBatch:
    return batch.filter(pc.fill_null(pc.equal(batch.column("id"), document), False))


def _wanted(batch: pa.RecordBatch, step: str | None, document: str | None) -> list[dict[str, Any]]:
    """Derived rows of a batch that are asked for."""
    mask = batch.column("parent").is_valid()
    if document is not None:
        mine = pc.or_(pc.equal(batch.column("id"), document), pc.equal(batch.column("parent"), document))
        mask = pc.and_(mask, pc.fill_null(mine, False))
    if step is not None:
        name = step.partition("#")[0]
        by_step = pc.match_substring(batch.column("derived_by"), f'"transform": "{name}"')
        mask = pc.and_(mask, pc.fill_null(by_step, False))
    rows = batch.filter(mask)
    return _drawn(rows.to_pylist(), 64) if rows.num_rows > 64 else rows.to_pylist()


def _drawn(rows: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Draw `count` of the rows by a hash of their ids."""
    if not rows:
        return []
    draws = Keyed(step="look").keys(pa.array([r["id"] for r in rows], pa.string())).tolist()
    return [row for _, row in sorted(zip(draws, rows, strict=True), key=lambda pair: pair[0])[:count]]


def _columns(dataset: Dataset, manifest: Manifest, columns: list[str]) -> Iterator[pa.RecordBatch]:
    names = [f["name"] for f in manifest["schema"]]
    for file in manifest["files"]:
        yield from read_shard(os.path.join(dataset.path, file["path"]), [c for c in columns if c in names])


def _texts(dataset: Dataset, manifest: Manifest, ids: set[str]) -> dict[str, str]:
    """The texts of these documents, as far as the snapshot holds them."""
    wanted = pa.array(sorted(ids), pa.string())
    found: dict[str, str] = {}
    for batch in _columns(dataset, manifest, ["id", "text"]):
        hits = batch.filter(pc.is_in(batch.column("id"), wanted))
        found.update(zip(hits.column("id").to_pylist(), hits.column("text").to_pylist(), strict=True))
        if len(found) == len(ids):
            break
    return found
