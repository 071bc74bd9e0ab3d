"""Reads documents of a recipe without a run: from its sources, through the steps that work on single documents.

`corpusmill tokenizer` and `corpusmill look` use it. Groups need the whole corpus and are skipped; `left_out` names
them.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from corpusmill.pipelines.dataset.results import Store
from corpusmill.pipelines.engine.chain import Chain
from corpusmill.pipelines.recipe.model import Recipe, Step
from corpusmill.transforms.base import Group, Terminal
from corpusmill.transforms.hashing import hash_text
from corpusmill.transforms.progress import Meter, Tell
from corpusmill.transforms.shards import text_bytes
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.listing import list_files
from corpusmill.transforms.sources.read import read_split
from corpusmill.transforms.sources.spec import SourceSpec
from corpusmill.transforms.sources.splits import Split, make_splits


def splits_of(recipe: Recipe) -> list[tuple[SourceSpec, Split]]:
    """Every split with its source, in a random order keyed by content, so that the first ones are a fair sample."""
    cache = Store(recipe.dataset).listing()  # digests of earlier runs; nothing is written
    found = []
    for spec in recipe.sources:
        files = list_files(spec, str(recipe.base_dir), cache)
        found += [(spec, split) for split in make_splits(spec, files, recipe.output.shard_bytes)]
    return sorted(found, key=lambda pair: hash_text(pair[1].key, seed=recipe.seed & 0xFFFFFFFF))


def alone(steps: list[Step]) -> tuple[list[Step], list[str]]:
    """(the steps that work on single documents, names of the others)."""
    every = [(s, isinstance(s.transform, Group | Terminal)) for s in steps]
    return [s for s, group in every if not group], [s.name for s, group in every if group]


def documents(recipe: Recipe, steps: list[Step], tell: Tell | None = None) -> Iterator[pa.RecordBatch]:
    """Yield batches of all documents of the sources after `steps`. tell: takes reports of progress."""
    splits = splits_of(recipe)
    with Meter(tell, "read", len(splits), "split", sum(split.size for _, split in splits)) as meter:
        for spec, split in splits:
            chain = Chain(steps, recipe.seed, split.source)
            for batch in read_split(split, spec, BadRows(split.source)):
                meter.add(documents=batch.num_rows, bytes=text_bytes(batch))
                yield chain.run(batch)
            meter.add(1, work=split.size)
