"""A sample of a snapshot's documents, drawn by their ids: the same for any sharding."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.dataset.packed import is_packed
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.privacy.certification import private_sources
from corpusmill.transforms.embed.learned import HEAD
from corpusmill.transforms.embed.sampling import chance, order_of
from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.hashing import U
from corpusmill.transforms.manifest import Manifest
from corpusmill.transforms.shards import read_shard, shard_schema

QUALITY = "quality"


@dataclass(frozen=True)
class Sample:
    """Documents of a snapshot, by rising `order`.

    order: uint64 [n], a hash of each id; ids, texts (their beginnings), sources, languages: strings; lengths: int64 [n],
    characters of the whole text; quality: float64 [n], nan where there is none; documents: of the snapshot that may be shown;
    hidden: documents of private sources, of which none is in the sample.
    """

    order: np.ndarray
    ids: list[str]
    texts: pa.Array
    sources: list[str]
    languages: list[str]
    lengths: np.ndarray
    quality: np.ndarray
    documents: int
    hidden: int

    def __len__(self) -> int:
        return len(self.ids)


def batches(dataset: Dataset, manifest: Manifest, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """The documents of a snapshot whose sources are not private, with those of `columns` that there are.

    Raises:
        DatasetError: the snapshot holds packed tokens.
    """
    if is_packed(manifest["schema"]):
        raise DatasetError(
            f"{dataset.path} holds packed tokens; name a dataset of documents, such as that of the recipe without `pack`"
        )
    private = pa.array(private_sources(manifest), pa.string())
    for file in manifest["files"]:
        path = os.path.join(dataset.path, file["path"])
        have = shard_schema(path).names
        for batch in read_shard(path, [c for c in ("id", "source", *columns) if c in have]):
            if len(private):
                source = batch.column("source").cast(pa.string())
                batch = batch.filter(pc.invert(pc.is_in(source, private)))
            yield batch


def part_of(manifest: Manifest, most: int | None) -> Manifest:
    """The manifest with evenly spread files of about `most` bytes of text at most, and one file at least; None: with all."""
    files = manifest["files"]
    if most is None or manifest["bytes"] <= most or len(files) < 2:
        return manifest
    keep = max(1, len(files) * most // manifest["bytes"])
    picked = [files[i * len(files) // keep] for i in range(keep)]
    fewer: Manifest = {**manifest, "files": picked, "documents": sum(f["rows"] for f in picked)}
    return fewer


def draw(dataset: Dataset, manifest: Manifest, count: int) -> Sample:
    """About `count` documents of a snapshot, or all of them if there are fewer.

    Raises:
        DatasetError: there is none that may be shown.
    """
    shown = sum(batch.num_rows for batch in batches(dataset, manifest, ()))
    if not shown:
        what = "all its documents are of private sources; `corpusmill privacy statistics` counts them with noise"
        raise DatasetError(
            f"{dataset.path}: there is no document to map" + (f": {what}" if manifest["documents"] else "")
        )
    bound = U(chance(shown, count))
    tables = []
    for batch in batches(dataset, manifest, ("text", "lang", QUALITY)):
        order = order_of(batch.column("id"))
        chosen = np.flatnonzero(order <= bound)
        if not len(chosen):
            continue
        batch = batch.take(pa.array(chosen))
        text = batch.column("text").cast(pa.string()).fill_null("")
        names = batch.schema.names
        n = batch.num_rows
        language = batch.column("lang").cast(pa.string()) if "lang" in names else pa.nulls(n, pa.string())
        quality = pa.nulls(n, pa.float64())
        if QUALITY in names and not pa.types.is_nested(batch.schema.field(QUALITY).type):
            quality = pc.cast(batch.column(QUALITY), pa.float64(), safe=False)
        columns = {
            "order": order[chosen],
            "id": batch.column("id").cast(pa.string()),
            "text": pc.utf8_slice_codeunits(text, 0, HEAD),
            "source": batch.column("source").cast(pa.string()),
            "lang": language.fill_null("unknown"),
            "length": pc.utf8_length(text).cast(pa.int64()),
            "quality": quality,
        }
        tables.append(pa.table(columns))
    table = pa.concat_tables(tables)
    keys = [("order", "ascending"), ("id", "ascending"), ("source", "ascending"), ("length", "ascending")]
    table = table.take(pc.sort_indices(table, keys)).combine_chunks()
    return Sample(
        table["order"].to_numpy(),
        table["id"].to_pylist(),
        table["text"].combine_chunks(),
        table["source"].to_pylist(),
        table["lang"].to_pylist(),
        table["length"].to_numpy(),
        table["quality"].to_numpy(),
        shown,
        manifest["documents"] - shown,
    )
