"""Takes suppressed documents out of snapshots that are committed already.

Removed are: rows of shards whose id, user, domain or source is on the suppression list; documents derived from them, at any depth;
packed rows that hold a piece of one; rows of side tables that name one. Ledger rows of dropped documents stay without names,
because they account for the funnel's counts. A manifest is rewritten with its new files. Its earlier digests stay in it, under
`purged.was`, so that the snapshot that followed it still verifies.

The list alone decides, so the next purge finishes one that was killed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.dataset import lock
from corpusmill.pipelines.dataset import suppression as suppress
from corpusmill.pipelines.dataset.history import without_messages
from corpusmill.pipelines.dataset.results import Store, request_of
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.dataset.system_errors import explained
from corpusmill.pipelines.engine.commit import finish, sync_names
from corpusmill.pipelines.engine.funnel import list_step
from corpusmill.pipelines.operations import gc, lineage
from corpusmill.transforms import storage
from corpusmill.transforms.generate.cache import REQUESTS, request_cache
from corpusmill.transforms.manifest import FileEntry, Manifest, ManifestBody, body_of, manifest_bytes, manifest_name
from corpusmill.transforms.shards import ShardWriter, Written, read_shard, shard_schema
from corpusmill.transforms.sources.spec import SourceSpec

_NAMES = ("id", "survivor", "parent")
_ABOUT = ("id", "parent", "user", "source", "url", "documents")


@dataclass
class Forgotten:
    """Ids that must not be in some snapshots: those on the list, and all that is derived from them.

    derived: how many of them name a parent. sources: rows of shards that the list itself names, by source. users: those of
    these rows.
    """

    suppression: suppress.Suppression
    ids: pa.Array
    derived: int = 0
    sources: dict[str, int] = field(default_factory=dict)
    users: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, reader: Dataset, numbers: list[int], suppression: suppress.Suppression) -> Forgotten:
        """From everything that these snapshots name."""
        named: list[pa.Array] = []
        lineage: list[pa.Table] = []
        sources: dict[str, int] = {}
        users: set[str] = set()
        for path in _distinct(reader, numbers):
            full = os.path.join(reader.path, path)
            columns = [n for n in _ABOUT if n in shard_schema(full).names]
            for batch in read_shard(full, columns):
                if "documents" in columns:  # the id is a row's
                    ids = pieces(batch)
                    named.append(ids.filter(pa.array(suppression.rows(pa.record_batch({"id": ids})))))
                    continue
                gone = suppression.rows(batch, ("id", "parent") if "parent" in columns else ("id",))
                if gone.any():
                    hit = batch.filter(pa.array(gone))
                    named.append(hit.column("id"))
                    if "user" in columns:
                        users.update(hit.column("user").drop_null().cast(pa.string()).to_pylist())
                    for pair in pc.value_counts(hit.column("source")).to_pylist():
                        if path.startswith("data/"):
                            sources[pair["values"]] = sources.get(pair["values"], 0) + pair["counts"]
                if "parent" in columns:
                    has = batch.select(["id", "parent"]).filter(pc.is_valid(batch.column("parent")))
                    lineage += [pa.Table.from_batches([has])] if has.num_rows else []
        ids = pc.unique(pa.concat_arrays([pa.array([], pa.string()), *named])).drop_null()
        found = cls(suppression, ids, sources=dict(sorted(sources.items())), users=users)
        if lineage and len(ids):
            known = pa.concat_tables(lineage)
            found._descend(known)
            found.derived = pc.count_distinct(
                known.column("id").filter(pc.is_in(known.column("id"), found.ids))
            ).as_py()
        return found

    def _descend(self, lineage: pa.Table) -> None:
        """Add what is derived from the ids, generation by generation."""
        young = self.ids
        while len(young):
            born = pc.unique(lineage.column("id").filter(pc.is_in(lineage.column("parent"), young)).combine_chunks())
            young = born.filter(pc.invert(pc.is_in(born, self.ids)))
            self.ids = pa.concat_arrays([self.ids, young])

    def rows(self, batch: pa.RecordBatch) -> np.ndarray:
        """bool [n]: rows of a shard that must go."""
        if "documents" in batch.schema.names:
            hit = self.names(pieces(batch))
            lists = batch.column("documents")
            owner = pc.list_parent_indices(lists).to_numpy()
            gone = np.zeros(batch.num_rows, np.bool_)
            gone[owner[hit]] = True
            return gone | self.suppression.rows(batch, ())
        ids = ("id", "parent") if "parent" in batch.schema.names else ("id",)
        gone = self.suppression.rows(batch, ids)
        for name in ids:
            gone |= self.names(batch.column(name))
        return gone

    def names(self, values: pa.Array) -> np.ndarray:
        """bool [n]: which values are ids that must go."""
        if not len(self.ids):
            return np.zeros(len(values), np.bool_)
        return pc.is_in(values, self.ids).to_numpy(zero_copy_only=False)


def pieces(batch: pa.RecordBatch) -> pa.Array:
    """Ids of the documents whose pieces packed rows hold, one entry a piece."""
    return batch.column("documents").flatten().field("id")


def _distinct(reader: Dataset, numbers: list[int]) -> list[str]:
    """Shards and ledgers that these snapshots name, each once."""
    found: dict[str, None] = {}
    for number in numbers:
        manifest = reader.manifest(number)
        found.update({f["path"]: None for f in [*manifest["files"], *manifest["tables"].get("dropped", [])]})
    return list(found)


def affected(reader: Dataset, manifest: Manifest, forgotten: Forgotten) -> dict[str, int]:
    """Shards of a snapshot that hold rows that must go, and how many."""
    found = {}
    for file in manifest["files"]:
        full = os.path.join(reader.path, file["path"])
        columns = [n for n in _ABOUT if n in shard_schema(full).names]
        rows = sum(int(forgotten.rows(b).sum()) for b in read_shard(full, columns))
        if rows:
            found[file["path"]] = rows
    return found


def rewritten(reader: Dataset, manifest: Manifest, forgotten: Forgotten) -> ManifestBody | None:
    """Write a snapshot's files without what must go; returns the new manifest, or None if the snapshot holds nothing of it."""
    level = manifest["recipe"]["output"]["level"]
    specs = {s["name"]: SourceSpec.model_validate(s) for s in manifest["recipe"]["sources"]}
    touched = False
    files, gone = [], 0
    for file in manifest["files"]:
        new = _again(reader.path, file, level, lambda b: _without(b, forgotten.rows(b)))
        touched = touched or new is not file
        gone += file["rows"] - new["rows"]
        files += [new] if new["rows"] else []
    tables: dict[str, list[FileEntry]] = {}
    for kind, listed in manifest["tables"].items():
        for file in listed:
            new = _again(reader.path, file, level, lambda b, kind=kind: _table(kind, b, forgotten, specs))
            touched = touched or new is not file
            tables.setdefault(kind, []).extend([new] if new["rows"] else [])
    if not touched:
        return None
    funnel = manifest["funnel"]
    if gone:
        size, left = (sum(f["bytes"] for f in many) for many in (manifest["files"], files))
        # the last step's rows are not always the published rows: a packed row is none that a step let through
        step = list_step(funnel["rows_out"], min(gone, funnel["rows_out"]), size, size - left)
        funnel = {**funnel, "steps": [*funnel["steps"], step], "rows_out": step["rows_out"]}
    body = body_of(manifest)
    body.pop("origins", None)  # they count what is gone, and a domain may be a person's
    return {
        **body,
        "files": files,
        "tables": {k: v for k, v in tables.items() if v},
        "documents": sum(f["rows"] for f in files),
        "bytes": sum(f["bytes"] for f in files),
        "content": request_of([f["sha256"] for f in files]),
        "funnel": funnel,
    }


def _table(kind: str, batch: pa.RecordBatch, forgotten: Forgotten, specs: dict[str, SourceSpec]) -> pa.RecordBatch:
    """A batch of a side table without names of what must go."""
    if kind == "quarantine":
        return _quarantine(batch, forgotten.suppression, specs)
    strings = [f.name for f in batch.schema if pa.types.is_string(f.type)]
    if kind != "dropped":
        gone = np.zeros(batch.num_rows, np.bool_)
        for name in strings:
            gone |= forgotten.names(batch.column(name))
        gone |= forgotten.suppression.rows(batch, tuple(n for n in strings if n != "source"))
        return _without(batch, gone)
    whole = forgotten.rows(batch)
    for name in [n for n in _NAMES if n in strings]:
        column = batch.column(name)
        hide = whole | forgotten.names(column) | forgotten.suppression.mask("id", column)
        if (hide & column.is_valid().to_numpy(zero_copy_only=False)).any():
            hidden = pc.if_else(pa.array(hide), pa.nulls(batch.num_rows, pa.string()), column)
            batch = batch.set_column(batch.schema.get_field_index(name), batch.schema.field(name), hidden)
    i = batch.schema.get_field_index("bytes")
    if i >= 0 and (whole & (batch.column(i).fill_null(0).to_numpy() != 0)).any():
        size = pc.if_else(pa.array(whole), pa.scalar(0, pa.int64()), batch.column(i))
        batch = batch.set_column(i, batch.schema.field(i), size)
    return batch


def _quarantine(
    batch: pa.RecordBatch, suppression: suppress.Suppression, specs: dict[str, SourceSpec]
) -> pa.RecordBatch:
    table = pa.Table.from_batches([batch])
    gone = suppression.rows(batch, ())
    for name, spec in specs.items():
        ids, users = suppress.bad_keys(table, spec)
        mine = pc.equal(batch.column("source"), name).to_numpy(zero_copy_only=False)
        hit = suppression.rows(pa.record_batch({"id": ids, "user": users}))
        gone |= mine & (hit | suppression.below(suppress.bad_hosts(table, ids)))
    gone &= pc.not_equal(batch.column("detail"), suppress.REASON).to_numpy(zero_copy_only=False)
    return suppress.scrubbed(table, gone).combine_chunks().to_batches()[0] if gone.any() else batch


def _without(batch: pa.RecordBatch, gone: np.ndarray) -> pa.RecordBatch:
    """The batch without some rows; itself if there are none."""
    return batch.filter(pa.array(~gone)) if gone.any() else batch


def _again(dataset: str, file: FileEntry, level: int, change: Any) -> FileEntry:
    """Rewrite a file with every batch changed, under a new name; returns its entry, or the same one if nothing changes."""
    full = os.path.join(dataset, file["path"])
    before = list(read_shard(full)) if file["size"] < 1 << 26 else None
    # a large file is read twice instead of held in memory
    if all(change(b) is b for b in before or read_shard(full)):
        return file
    folder, name = os.path.split(full)
    suffix = os.path.splitext(name)[1]

    def named(w: Written) -> str:
        digest = request_of("purged", file["path"], w.sha256)[:20]
        return os.path.join(folder, f"{name.rpartition('-')[0]}-{digest}{suffix}")

    form: Literal["parquet", "arrow"] = "parquet" if suffix == ".parquet" else "arrow"
    with ShardWriter(full, shard_schema(full), form, level, named) as writer:
        for batch in before or read_shard(full):
            writer.write(change(batch).replace_schema_metadata(None))
    w = writer.written
    if w is None:
        raise RuntimeError(f"{full}: the shard was not finished")
    path = os.path.join(os.path.dirname(file["path"]), os.path.basename(writer.path))
    return {**file, "path": path, "rows": w.rows, "bytes": w.text_bytes, "size": w.size, "sha256": w.sha256}


def forget_answers(reader: Dataset, forgotten: Forgotten) -> int:
    """Remove the answers of models about these documents from the request cache; returns their number."""
    path = os.path.join(Store(reader.path).root, REQUESTS)
    cache = request_cache(path)
    if cache is None:
        return 0
    try:
        records = pa.array(cache.records(), pa.string())
        gone = forgotten.names(records) | forgotten.suppression.mask("id", records)
        return cache.forget(records.filter(pa.array(gone)).to_pylist())
    finally:
        cache.close()


def purge(dataset: str) -> list[int]:
    """Take what the suppression list names out of every snapshot and out of the kept work; returns the rewritten snapshots.

    The newest snapshot must have been made with the whole list.

    Raises:
        LockedError: another process is writing the dataset.
    """
    with explained(dataset), Store(dataset).lock():
        reader = Dataset(dataset)
        suppression = suppress.current(dataset)
        lineage.record(reader)
        forgotten = Forgotten.of(reader, reader.numbers, suppression)
        changed = []
        for number in reader.numbers:
            manifest = reader.manifest(number)
            new = rewritten(reader, manifest, forgotten)
            if new is None:
                continue
            was = [*(manifest["purged"]["was"] if "purged" in manifest else []), manifest["digest"]]
            new["purged"] = {"was": was, "lists": suppression.number}
            sync_names(dataset, new)
            lock.confirm(dataset)
            storage.write_atomic(os.path.join(dataset, manifest_name(number)), manifest_bytes(new))
            changed.append(number)
        lineage.record(Dataset(dataset))  # the rewritten snapshots, too, as a purge that goes on behind a death does
        forget_answers(reader, forgotten)
        without_messages(dataset)
        gc.sweep(dataset, gc.listed(Dataset(dataset), [], purge=True))
        finish(dataset)
    return changed
