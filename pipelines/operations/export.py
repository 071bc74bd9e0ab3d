"""A snapshot in the formats of trainers and catalogues: `corpusmill export`.

megatron, nanogpt and mds are written shard by shard from a snapshot of packed rows (mds from documents, too); croissant is
one JSON-LD file that describes the snapshot's own shards, where they lie.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa

from corpusmill.pipelines.dataset.packed import packing
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.transforms import storage
from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.shards import read_shard, shard_schema
from corpusmill.transforms.tokens.formats import TARGETS, finish, load, write_shard
from corpusmill.transforms.tokens.formats.files import File, Shard


@dataclass(frozen=True)
class Exported:
    """files: what was written; rows and tokens (padding excluded) in it; of croissant, what it describes."""

    files: tuple[File, ...]
    rows: int
    tokens: int


def export(
    dataset: Dataset, to: str, out: str, number: int | None = None, license: str = "", description: str = ""
) -> Exported:
    """Write a snapshot (the newest without a `number`) to the folder `out`, which is made and must be empty; for croissant,
    `out` is the JSON file, or a folder in which croissant.json is written.

    license: an SPDX identifier or a URL, which croissant demands.

    Raises:
        DatasetError: the snapshot has no tokens, or `out` is in use. RecipeError: the format cannot hold the columns.
    """
    manifest = dataset.manifest(number)
    if to not in TARGETS:
        raise DatasetError(f"--to {to}: there are {', '.join(TARGETS)}")
    target = load(to)
    if target.describe is not None:
        return _describe(target.describe, to, dataset, manifest, out, license, description)
    names = [f["name"] for f in manifest["schema"]]
    if not target.documents and "input_ids" not in names:
        raise DatasetError(
            f"{dataset.path}: snapshot {manifest['number']} holds text, and {to} holds tokens; end the recipe with `pack`"
        )
    try:
        os.makedirs(out, exist_ok=True)
        used = os.listdir(out)
    except OSError as error:
        raise DatasetError(f"{out}: cannot be written: {error.strerror}; name another folder") from None
    if used:
        raise DatasetError(f"{out} is not empty (it holds {used[0]}); name a folder that is empty or not there yet")
    shards = []
    for i, file in enumerate(manifest["files"]):
        path = os.path.join(dataset.path, file["path"])
        shards.append(write_shard(to, read_shard(path), os.path.join(out, f"part-{i:05d}"), shard_schema(path)))
    extra = finish(to, out, shards)
    return Exported((*_files(shards), *extra), sum(s.rows for s in shards), sum(s.tokens for s in shards))


def _files(shards: list[Shard]) -> Iterator[File]:
    for shard in shards:
        yield from shard.files


def _describe(
    write: Callable[..., File],
    to: str,
    dataset: Dataset,
    manifest: dict[str, Any],
    out: str,
    license: str,
    description: str,
) -> Exported:
    """Metadata of the snapshot's own files, for catalogues."""
    if not license:
        raise DatasetError(f"{to} names the licence of the data: give it with --license, as in --license CC-BY-4.0")
    if not manifest["files"]:
        raise DatasetError(f"{dataset.path}: snapshot {manifest['number']} is empty: there is nothing to describe")
    path = os.path.join(out, f"{to}.json") if os.path.isdir(out) or not out.endswith(".json") else out
    folder = os.path.dirname(os.path.abspath(path))
    files = []
    for f in manifest["files"]:
        # catalogues read addresses with '/', from where the metadata lies, or from anywhere
        place = os.path.join(dataset.path, f["path"])
        if storage.is_local(place):
            place = os.path.relpath(os.path.abspath(place), folder).replace(os.sep, "/")
        files.append(File(place, f["size"], f["sha256"]))
    if any(f.path.startswith("..") for f in files):
        raise DatasetError(
            f"{path}: {to} names files below its own folder; write it into {dataset.path} or a folder above it"
        )
    schema: pa.Schema = shard_schema(os.path.join(dataset.path, manifest["files"][0]["path"]))
    packed = packing(manifest)
    what = f"rows of tokens from {packed['packed']:,} documents" if packed else "documents"
    text = description or f"{manifest['documents']:,} {what}, made by corpusmill, recipe {manifest['recipe_digest']}"
    form = manifest["recipe"]["output"]["format"]
    published = date.fromisoformat(str(manifest["created"])[:10])
    version = f"{manifest['number']}.0.0"
    written = write(path, manifest["name"], text, schema, files, form, license, published, version)
    return Exported((written,), manifest["documents"], packed["tokens"] if packed else 0)
