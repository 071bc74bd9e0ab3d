"""Examples from a snapshot's side tables: dropped documents, near-duplicate pairs and quarantined rows, with their texts.

A side table has no text of a document. Kept documents have theirs in the shards; that of a dropped one is read again from the
sources, as far as a limit of bytes allows, and is the text as it was read, before any step. Nothing here imports code that a
manifest names.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.dataset.packed import is_packed
from corpusmill.pipelines.dataset.results import Store
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.transforms import storage
from corpusmill.transforms.errors import CorpusmillError, DatasetError
from corpusmill.transforms.hashing import hash64
from corpusmill.transforms.manifest import Manifest
from corpusmill.transforms.shards import read_shard, shard_schema
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.listing import list_files
from corpusmill.transforms.sources.read import read_split
from corpusmill.transforms.sources.spec import SourceSpec
from corpusmill.transforms.sources.splits import Split, make_splits

BYTES = 256 << 20
"""Text that is read from the sources in search of documents."""


@dataclass(frozen=True)
class Text:
    """The text of a document. file, row: where it stands, a shard or a file of the sources; rows count from 0."""

    text: str
    file: str
    row: int


def table(reader: Dataset, manifest: Manifest, kind: str) -> Iterator[pa.RecordBatch]:
    """Batches of a side table: `dropped`, `pairs`, `quarantine`, `scores/<step>`."""
    for file in manifest["tables"].get(kind, []):
        yield from read_shard(os.path.join(reader.path, file["path"]))


def dropped(
    reader: Dataset, number: int | None = None, step: str | None = None, reason: str | None = None, count: int = 20
) -> list[dict[str, Any]]:
    """Rows of dropped documents: `count` of each step and reason, or of the named ones; drawn by a hash of the id.

    Raises:
        DatasetError: the snapshot has no such step or reason.
    """
    manifest = reader.manifest(number)
    steps = {s["name"]: s["dropped"] for s in manifest["funnel"]["steps"]}
    if step is not None and step not in steps:
        raise DatasetError(f"{reader.path}: has no step `{step}`; its steps are: {', '.join(steps) or 'none'}")
    reasons = {r for name, counts in steps.items() if step in (None, name) for r in counts}
    if reason is not None and reason not in reasons:
        where = f"step {step}" if step else "no step"
        raise DatasetError(f"{reader.path}: {where} drops for `{reason}`; reasons are: {', '.join(sorted(reasons))}")
    best: dict[tuple[str, str], list[tuple[int, dict[str, Any]]]] = {}
    for batch in table(reader, manifest, "dropped"):
        mask = pc.is_valid(batch.column("id"))
        for column, wanted in (("step", step), ("reason", reason)):
            if wanted is not None:
                mask = pc.and_(mask, pc.equal(batch.column(column), wanted))
        batch = batch.filter(mask)
        if not batch.num_rows:
            continue
        order = pa.array(hash64(batch.column("id")))
        groups = pa.table({"step": batch.column("step"), "reason": batch.column("reason")}).group_by(["step", "reason"])
        for pair in groups.aggregate([]).to_pylist():
            mine = pc.and_(pc.equal(batch["step"], pair["step"]), pc.equal(batch["reason"], pair["reason"]))
            places = pc.indices_nonzero(mine)
            first = places.take(pc.array_sort_indices(order.take(places))[:count])
            rows = zip(order.take(first).to_pylist(), batch.take(first).to_pylist(), strict=True)
            key = (pair["step"], pair["reason"])
            best[key] = sorted([*best.get(key, []), *rows], key=lambda r: (r[0], r[1]["id"]))[:count]
    place = {name: i for i, name in enumerate(steps)}
    keys = sorted(best, key=lambda k: (place.get(k[0], len(place)), k[1]))
    return [row for key in keys for _, row in best[key]]


def pairs(reader: Dataset, number: int | None = None, count: int = 20) -> list[dict[str, Any]]:
    """Near-duplicate pairs: id_a, id_b, survivor, and jaccard (of `minhash`) or cosine (of `semantic`); evenly spread over
    their similarity, the least similar first.

    Raises:
        DatasetError: the snapshot has no such table.
    """
    manifest = reader.manifest(number)
    batches = list(table(reader, manifest, "pairs"))
    if not batches:
        raise DatasetError(
            f"{reader.path}: snapshot {manifest['number']} has no near-duplicate pairs; `minhash` and `semantic` find them. "
            f"Exact duplicates: corpusmill dropped {reader.path} --step exact"
        )
    every = pa.concat_tables([pa.Table.from_batches([b]) for b in batches], promote_options="default")
    measures = [every[name] for name in ("jaccard", "cosine") if name in every.column_names]
    order = pa.table({"similarity": pc.coalesce(*measures), "id_a": every["id_a"]})
    every = every.take(pc.sort_indices(order, [("similarity", "ascending"), ("id_a", "ascending")]))
    picked = [i * every.num_rows // min(count, every.num_rows) for i in range(min(count, every.num_rows))]
    return every.take(picked).to_pylist()


def quarantine(reader: Dataset, number: int | None = None, count: int = 20) -> list[dict[str, Any]]:
    """Rows that could not be read: source, file, position, reason, detail, raw."""
    found: list[dict[str, Any]] = []
    for batch in table(reader, reader.manifest(number), "quarantine"):
        found += batch.slice(0, count - len(found)).to_pylist()
        if len(found) >= count:
            break
    return found


def texts(reader: Dataset, manifest: Manifest, ids: Iterable[str], limit: int = BYTES) -> dict[str, Text]:
    """The texts of documents, from the snapshot where it holds them and else from its sources.

    Args:
        reader: of the dataset.
        manifest: of the snapshot.
        ids: of the documents.
        limit: bytes of text to read from the sources; documents behind it are left out. With 0 no source is read.
    """
    wanted = set(ids) - {""}
    found: dict[str, Text] = {}
    if not is_packed(manifest["schema"]):
        for file in manifest["files"]:
            path = os.path.join(reader.path, file["path"])
            if "text" in shard_schema(path).names and wanted - set(found):
                _collect(read_shard(path, ["id", "text"]), wanted, file["path"], found)
    missing = wanted - set(found)
    if missing and limit > 0:
        for name, batches in read_sources(reader, manifest):
            limit -= _collect(batches, missing, name, found, limit)
            if limit <= 0 or not missing - set(found):
                break
    return found


def _collect(
    batches: Iterable[pa.RecordBatch], wanted: set[str], file: str, found: dict[str, Text], limit: int = 1 << 62
) -> int:
    """Add the texts of wanted documents; returns the bytes of text that were read."""
    values = pa.array(sorted(wanted), pa.string())
    row = read = 0
    for batch in batches:
        for place in pc.indices_nonzero(pc.is_in(batch.column("id"), values)).to_pylist():
            name, text = batch.column("id")[place].as_py(), batch.column("text")[place].as_py()
            found.setdefault(name, Text(text or "", file, row + place))
        row += batch.num_rows
        read += batch.column("text").nbytes
        if read >= limit or not wanted - set(found):
            break
    return read


def base_folder(reader: Dataset) -> str:
    """The folder in which relative paths of the recipe begin, as the last run noted it; "" if none did."""
    base = Store(reader.path).load_base()
    if base is None or not storage.is_local(reader.path):
        return base or ""  # absolute paths need no folder
    return os.path.normpath(os.path.join(os.path.realpath(reader.path), base))


def read_sources(
    reader: Dataset, manifest: Manifest, without: Collection[str] = ()
) -> Iterator[tuple[str, Iterator[pa.RecordBatch]]]:
    """(name, documents) of every split of the sources that can still be read, but those of sources in `without`."""
    for spec, split in source_splits(reader, manifest):
        if spec.name in without:
            continue
        more = f" and {len(split.parts) - 1} more" if len(split.parts) > 1 else ""
        yield f"{split.parts[0].name}{more}", _readable(read_split(split, spec, BadRows(split.source)))


def source_splits(reader: Dataset, manifest: Manifest) -> Iterator[tuple[SourceSpec, Split]]:
    """Every split of the sources that are still where they were, with its source."""
    base = base_folder(reader)
    size = manifest["recipe"]["output"]["shard_bytes"]
    for source in manifest["recipe"]["sources"]:
        try:
            spec = SourceSpec.model_validate(source)
            splits = make_splits(spec, list_files(spec, base, Store(reader.path).listing(), online=False), size)
        except (CorpusmillError, OSError, ValueError):
            continue  # it was moved or removed since
        for split in splits:
            yield spec, split


def _readable(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    try:
        yield from batches
    except (CorpusmillError, OSError):
        return
