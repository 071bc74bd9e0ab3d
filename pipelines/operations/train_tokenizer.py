"""Trains a tokenizer on the documents of a recipe or of a dataset: `corpusmill tokenizer`."""

from __future__ import annotations

import contextlib
import filecmp
import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from corpusmill.pipelines.dataset.packed import is_packed
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.engine.sample_documents import alone, documents
from corpusmill.pipelines.recipe.model import Recipe, load
from corpusmill.privacy.certification import data_digest, mark, private_sources
from corpusmill.transforms import storage
from corpusmill.transforms.base import Group, Terminal
from corpusmill.transforms.errors import DatasetError, RecipeError
from corpusmill.transforms.progress import Meter, Tell
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.shards import read_shard, text_bytes
from corpusmill.transforms.storage import write_atomic
from corpusmill.transforms.tokens.pack import Pack
from corpusmill.transforms.tokens.tokenize import Tokenize
from corpusmill.transforms.tokens.tokenizer import ORIGIN, load_tokenizer
from corpusmill.transforms.tokens.train_tokenizer import SPECIAL, train_tokenizer


def train(
    origin: str,
    vocab_size: int = 32_000,
    out: str | None = None,
    special: Iterable[str] = (),
    sample_bytes: int = 64 << 20,
    overrides: Iterable[str] = (),
    tell: Tell | None = None,
) -> dict[str, Any]:
    """Train on a sample of the documents of `origin`, a dataset directory or a recipe, and write tokenizer.json.

    For a recipe, the special tokens and, without `out`, the path are those of its `pack` or `tokenize`. tell: takes reports
    of progress.

    Returns:
        path, sha256, tokens; left_out: steps of the recipe that were skipped because they need the whole corpus; private:
        the private sources whose text it contains. FILE.private notes them, so that private training refuses the tokenizer.

    Raises:
        RecipeError: the vocabulary is too small, there is no text, or another tokenizer lies at the path.
        DatasetError: `origin` is a dataset without text.
    """
    tokens = dict.fromkeys([*SPECIAL])
    origin_note: dict[str, Any]
    left_out: list[str] = []
    seed = 0
    if storage.is_dir(origin):
        manifest = Dataset(origin).manifest()
        batches = _of_dataset(Dataset(origin), tell)
        private = private_sources(manifest)
        origin_note = {"dataset": manifest["name"], "snapshot": manifest["number"]}
        origin_note |= {"manifest": manifest["digest"], "data": data_digest(manifest)}
    else:
        recipe = load(origin, overrides, check_paths=False)
        private = [s.name for s in recipe.sources if s.private]
        users = [s.transform for s in recipe.bound_steps() if isinstance(s.transform, Pack | Tokenize)]
        for user in users:
            named = (user.bos, user.eos, getattr(user, "pad", None))
            tokens |= dict.fromkeys(t for t in named if t is not None)
        out = out or next((u.tokenizer for u in users), None)
        batches, left_out = _of_recipe(recipe, tell)
        seed = recipe.seed
        origin_note = {"recipe": recipe.name, "recipe_output": storage.absolute(recipe.dataset)}
    path = out or "tokenizer.json"
    names = tuple(dict.fromkeys([*tokens, *special]))
    fresh = storage.temporary_name(path)
    try:
        rng = Keyed(seed, "train-tokenizer")
        digest = train_tokenizer(batches, fresh, vocab_size, names, sample_bytes, rng=rng, tell=tell)
        if os.path.exists(path) and not filecmp.cmp(path, fresh, shallow=False):
            # datasets may hold its token ids, which mean nothing without it
            raise RecipeError(
                f"{path} exists and is another tokenizer; remove it first, or name another file with --out"
            )
        if private:
            mark(path, private)
        note = json.dumps({"sha256": digest, **origin_note}, indent=1).encode() + b"\n"
        write_atomic(path + ORIGIN, note, fsync=False)
        os.replace(fresh, path)
    except OSError as error:
        raise RecipeError(f"{path}: cannot be written: {error.strerror}; name another file with --out") from None
    finally:
        with contextlib.suppress(OSError):  # it was renamed, or could not be written
            os.unlink(fresh)
    return {
        "path": path,
        "sha256": digest,
        "tokens": load_tokenizer(path).vocab_size,
        "left_out": left_out,
        "private": private,
    }


def _of_dataset(dataset: Dataset, tell: Tell | None) -> Iterator[pa.RecordBatch]:
    manifest = dataset.manifest()
    if is_packed(manifest["schema"]):
        raise DatasetError(f"{dataset.path} holds packed tokens; train on its recipe, or on a dataset with text")
    files = dataset.files()
    with Meter(tell, "read", len(files), "shard", manifest["documents"]) as meter:
        for file in files:
            for batch in read_shard(file, ["id", "text"]):
                meter.add(documents=batch.num_rows, bytes=text_bytes(batch), work=batch.num_rows)
                yield batch
            meter.add(1)


def _of_recipe(recipe: Recipe, tell: Tell | None) -> tuple[Iterator[pa.RecordBatch], list[str]]:
    steps = recipe.bound_steps()
    # steps that need the tokenizer end the chain; groups are skipped, and the steps after them still apply
    end = next((i for i, s in enumerate(steps) if isinstance(s.transform, Terminal | Tokenize)), len(steps))
    steps = steps[:end]
    usable, _ = alone(steps)
    return documents(recipe, usable, tell), [s.name for s in steps if isinstance(s.transform, Group)]
