"""Packed rows as text: the tokens of each piece decoded, with the document that it comes from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from corpusmill.pipelines.dataset.packed import DOCUMENTS, is_packed
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations.examples import base_folder
from corpusmill.transforms.errors import CorpusmillError
from corpusmill.transforms.manifest import Manifest
from corpusmill.transforms.shards import read_shard
from corpusmill.transforms.tokens.tokenizer import Tokenizer, load_tokenizer


@dataclass(frozen=True)
class Piece:
    """A piece of a document in a row. offset: where it begins in the document's tokens."""

    id: str
    tokens: int
    offset: int
    text: str


@dataclass(frozen=True)
class Row:
    """A row: its id, tokens without padding, its length, and its pieces in order."""

    id: str
    tokens: int
    length: int
    pieces: list[Piece]


def tokenizer_of(reader: Dataset, manifest: Manifest) -> tuple[Tokenizer | None, str]:
    """The tokenizer that packed a snapshot, or None and why not."""
    entry = next((s for s in reversed(manifest["recipe"]["steps"]) if "tokenizer" in s["fields"]), None)
    if entry is None:
        return None, "The recipe names no tokenizer."
    path = os.path.join(base_folder(reader), os.path.expanduser(str(entry["fields"]["tokenizer"])))
    digest = manifest["funnel"]["steps"][-1].get("details", {}).get("tokenizer")
    try:
        found = load_tokenizer(path)
    except (CorpusmillError, OSError) as error:
        return None, str(error)
    if digest and found.digest != digest:
        return None, f"{path} is not the tokenizer that packed these rows: its SHA-256 differs."
    return found, ""


def rows(reader: Dataset, manifest: Manifest, count: int = 4) -> tuple[list[Row], str]:
    """(up to `count` decoded rows of evenly spread shards, why there are none).

    A snapshot of documents has no rows, and no reason. Rows of recipes with private sources are not decoded.
    """
    if not is_packed(manifest["schema"]) or any(s.get("private") for s in manifest["recipe"]["sources"]):
        return [], ""
    tokenizer, problem = tokenizer_of(reader, manifest)
    if tokenizer is None:
        return [], problem
    files = manifest["files"]
    picked = [files[i * len(files) // min(count, len(files))] for i in range(min(count, len(files)))]
    found: list[Row] = []
    for file in picked:
        for batch in read_shard(os.path.join(reader.path, file["path"])):
            each = -(-count // len(picked))
            found += [decoded(row, tokenizer) for row in batch.slice(0, each).to_pylist()]
            break
    return found[:count], ""


def decoded(row: dict[str, Any], tokenizer: Tokenizer) -> Row:
    """A packed row with the text of each piece."""
    ids = np.asarray(row["input_ids"])
    pieces = [
        Piece(p["id"], p["length"], p["offset"], tokenizer.decode(ids[p["start"] : p["start"] + p["length"]]))
        for p in row[DOCUMENTS]
    ]
    return Row(row["id"], row["n_tokens"], len(ids), pieces)
