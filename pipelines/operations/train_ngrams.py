"""Trains an n-gram model on the documents of a recipe or of a dataset: `corpusmill perplexity train`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from corpusmill.pipelines.dataset.packed import is_packed
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.engine.sample_documents import alone, documents
from corpusmill.pipelines.recipe.model import load
from corpusmill.privacy.certification import data_digest, mark, private_sources
from corpusmill.transforms import storage
from corpusmill.transforms.base import Group
from corpusmill.transforms.errors import DatasetError, RecipeError
from corpusmill.transforms.ngrams._counts import Counts
from corpusmill.transforms.ngrams._smoothing import estimate
from corpusmill.transforms.ngrams._symbols import Units, symbols_of
from corpusmill.transforms.shards import read_shard
from corpusmill.transforms.tokens.tokenizer import load_tokenizer


def train(
    origin: str,
    out: str,
    order: int = 5,
    units: str | None = None,
    tokenizer: str | None = None,
    memory: int = 1 << 30,
    overrides: Iterable[str] = (),
) -> dict[str, Any]:
    """Count the documents of `origin`, a dataset directory or a recipe, and write the model to `out`.

    Args:
        origin: for a recipe, the steps before the first that scores by n-grams or makes rows are applied; groups are skipped.
        out: file to write.
        order: longest n-gram, 2 to 5.
        units: words, pieces or tokens; by default tokens with a tokenizer, else words.
        tokenizer: path of a tokenizer.json.
        memory: bytes that training takes, about; the rest is in the folder of temporary files.
        overrides: of the recipe.

    Returns:
        path; left_out: steps of the recipe that were skipped; private: sources whose text it was learned from, also noted in
        OUT.private; and the model's card.

    Raises:
        RecipeError: there is no text, or `units` and `tokenizer` do not fit. DatasetError: `origin` is a dataset without text.
    """
    counted = cast(Units, units or ("tokens" if tokenizer else "words"))
    if (counted == "tokens") != (tokenizer is not None):
        raise RecipeError(
            f"units {counted}: tokens need a tokenizer, and nothing else takes one; give --tokenizer or other --units"
        )
    card: dict[str, Any] = {}
    left_out: list[str] = []
    if storage.is_dir(origin):
        manifest = Dataset(origin).manifest()
        private = private_sources(manifest)
        card = {"dataset": manifest["name"], "snapshot": manifest["number"], "data": data_digest(manifest)}
        batches = _of_dataset(Dataset(origin))
    else:
        recipe = load(origin, tuple(overrides), check_paths=False)
        private = [s.name for s in recipe.sources if s.private]
        steps = recipe.bound_steps()
        end = next(
            (i for i, s in enumerate(steps) if s.transform.name in ("perplexity", "reweight", "pack")), len(steps)
        )
        usable, _ = alone(steps[:end])
        left_out = [s.name for s in steps[:end] if isinstance(s.transform, Group)]
        card = {"recipe": recipe.name}
        batches = documents(recipe, usable)
    digest = load_tokenizer(tokenizer).digest if tokenizer else ""
    seen = 0
    with tempfile.TemporaryDirectory(prefix="corpusmill-ngrams-") as folder:
        counts = Counts(order, Path(folder), memory)
        for batch in batches:
            seen += batch.num_rows
            counts.add(*symbols_of(batch, counted, tokenizer, "perplexity train"))
        try:
            card = estimate(counts, out, counted, digest, card | {"documents": seen})
        except ValueError as error:
            raise RecipeError(f"{origin}: {error}") from None
        except OSError as error:
            raise RecipeError(f"{out}: cannot be written: {error.strerror}; name another file with --out") from None
    if private:
        mark(out, private)
    return {"path": out, "left_out": left_out, "private": private, "order": order, "units": counted, **card}


def _of_dataset(dataset: Dataset) -> Iterator[pa.RecordBatch]:
    schema = dataset.manifest()["schema"]
    if is_packed(schema):
        raise DatasetError(f"{dataset.path} holds packed tokens; train on its recipe, or on a dataset with text")
    for file in dataset.files():
        yield from read_shard(file, ["id", "text"])
