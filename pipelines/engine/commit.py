"""Publishes a finished job as the next snapshot.

Order of writes: shards and tables (new names, content-addressed), then the manifest, by compare-and-set on its number, then
what can be made again from the manifest at any time: README.md, SHA256SUMS, the event. A crash between two writes
leaves either the old snapshot or the new one, and the same command repairs the rest.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter

import pyarrow as pa

from corpusmill.pipelines.dataset import events, lock, openlineage, origins
from corpusmill.pipelines.dataset.outcome import Outcome, WorkFile
from corpusmill.pipelines.dataset.results import request_of
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.dataset.verify import sums
from corpusmill.pipelines.engine.card import readme
from corpusmill.pipelines.engine.expectations.check import check
from corpusmill.pipelines.engine.funnel import build
from corpusmill.pipelines.engine.job import Job
from corpusmill.pipelines.engine.mixture import mixture
from corpusmill.pipelines.recipe.released import released
from corpusmill.transforms import storage
from corpusmill.transforms.errors import DamagedWorkError, LockedError
from corpusmill.transforms.manifest import (
    FORMAT,
    Column,
    FileEntry,
    Manifest,
    ManifestBody,
    Origins,
    files_of,
    manifest_bytes,
    manifest_name,
    snapshot_numbers,
)
from corpusmill.transforms.shards import read_shard

_KINDS = {"dropped": "dropped", "quarantine": "quarantine", "cut": "cut"}


def commit(job: Job, newest: int | None = None) -> Manifest:
    """Commit a job whose stages are all done; returns the manifest as `Dataset.manifest` gives it. newest: number of
    the parent snapshot, or 0 for none; default: the newest snapshot now.

    Raises:
        ConservationError: rows do not add up; nothing is committed.
        ExpectationError: the result breaks the recipe's `expect`; nothing is committed.
        LockedError: another process committed meanwhile; the same command commits on top of it.
    """
    funnel = build(job)
    outcomes = job.published()
    numbers = [n for n in snapshot_numbers(job.dataset) if newest is None or n <= newest]
    parent = Dataset(job.dataset).manifest(numbers[-1]) if numbers else None
    check(job, funnel, parent)
    remember(job)
    wanted: dict[str, str] = {}
    files, tables = _shards(job, outcomes, wanted), _tables(job, wanted)
    named = [*files, *(f for many in tables.values() for f in many)]
    publish(job, wanted, {f["path"]: f["sha256"] for f in named})
    indexes = {os.path.dirname(o["files"]["ids"]["path"]) for o in job.outcomes(0) if "ids" in o["files"]}
    storage.sync_folders(job.store.path(f) for f in sorted({os.path.dirname(f) for f in indexes} | indexes))
    manifest: ManifestBody = {
        "format": FORMAT,
        "name": job.recipe.name,
        "parent": {"number": parent["number"], "digest": parent["digest"]} if parent else None,
        "documents": sum(f["rows"] for f in files),
        "bytes": sum(f["bytes"] for f in files),
        "content": request_of([f["sha256"] for f in files]),
        "files": files,
        "tables": tables,
        "funnel": funnel,
        "schema": _schema(outcomes),
        "recipe": job.recipe.canonical(),
        "recipe_digest": job.recipe.digest(),
        "work": job.work_digest(),
        "inputs": job.store.load_task_list(job.reads)["inputs"],
    }
    mover = next((s.name for s in job.recipe.steps if getattr(s.transform, "moves", False)), None)
    mixed = mixture(job.dataset, tables, funnel, mover)
    if mixed:
        manifest["mixture"] = mixed
    if tallied := _origins(job):
        manifest["origins"] = tallied
    if owed := released(job.recipe):
        manifest["privacy"] = owed
    if job.suppressed:
        manifest["suppressed"] = {"lists": job.suppressed, "digest": job.suppression.digest}
    return publish_manifest(job.dataset, numbers[-1] + 1 if numbers else 1, manifest)


def publish_manifest(dataset: str, number: int, manifest: ManifestBody) -> Manifest:
    """Commit a manifest whose files are all there, by compare-and-set on its number.

    Raises:
        LockedError: another process took the number.
    """
    storage.makedirs(os.path.join(dataset, "snapshots"))
    sync_names(dataset, manifest)
    if number > 1 and Dataset(dataset).manifest()["created"] is None:
        finish(dataset)  # of a process that died after its commit
    lock.confirm(dataset)
    if not storage.create_exclusive(os.path.join(dataset, manifest_name(number)), manifest_bytes(manifest)):
        raise LockedError(
            f"{dataset}: another process committed snapshot {number} meanwhile. Run the same command again."
        )
    return finish(dataset)


def sync_names(dataset: str, manifest: ManifestBody) -> None:
    """Flush the names of a manifest's files to disk. Call this before the manifest is written."""
    folders = {"", os.path.dirname(os.path.abspath(dataset))} if storage.is_local(dataset) else set()
    for file in files_of(manifest):
        parts = os.path.dirname(file["path"]).split("/")
        folders.update("/".join(parts[: i + 1]) for i in range(len(parts)))
    storage.sync_folders(os.path.join(dataset, f) for f in sorted(folders))


def finish(dataset: str) -> Manifest:
    """Write what follows from the newest manifest, if it is missing: README.md, SHA256SUMS and the event."""
    reader = Dataset(dataset)
    manifest = reader.manifest()
    if manifest["created"] is None:
        event = events.event_of(manifest)
        events.append(dataset, event)
        openlineage.send(event)
        manifest = reader.manifest()
    card = readme(manifest).encode()
    _replace(os.path.join(dataset, "README.md"), card)
    _replace(os.path.join(dataset, "SHA256SUMS"), sums(manifest, card))
    return manifest


def _replace(path: str, data: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        if storage.read_bytes(path) == data:
            return
    storage.write_atomic(path, data)


def published_names(job: Job) -> dict[str, str]:
    """Map each file name of the snapshot to the work file that it is made of."""
    wanted: dict[str, str] = {}
    _shards(job, job.published(), wanted)
    _tables(job, wanted)
    return wanted


def publish(job: Job, wanted: dict[str, str], digests: dict[str, str]) -> None:
    """Link finished work under its names in the snapshot (name -> path of the work), unless the names exist.

    digests: the SHA-256 that each name must have. An existing file with other bytes is replaced if its work was made
    again since.

    Raises:
        DamagedWorkError: a work file has changed since its task finished.
    """

    def one(name: str) -> None:
        target, work = os.path.join(job.dataset, name), job.store.path(wanted[name])
        if storage.has_file(target):
            again = storage.is_local(work) and storage.stat(work).modified > storage.stat(target).modified
            if not again or storage.sha256_of(target) == digests[name]:
                return
        if storage.is_local(work) and storage.sha256_of(work) != digests[name]:
            raise DamagedWorkError(work, "its SHA-256 differs from its outcome")
        storage.makedirs(os.path.dirname(target))
        storage.link_or_copy(work, target)

    storage.each(one, wanted, job.dataset)


def _entry(file: WorkFile, name: str) -> FileEntry:
    """The manifest's entry for a file."""
    return {"path": name, "rows": file["rows"], "bytes": file["bytes"], "size": file["size"], "sha256": file["sha256"]}


def _shards(job: Job, outcomes: list[Outcome], wanted: dict[str, str]) -> list[FileEntry]:
    # after a group has moved rows, a shard belongs to no single source
    moved = any(g.transform.moves for g in job.groups)
    homes = (
        [(job.recipe.name, str(i)) for i in range(len(outcomes))]
        if moved
        else [(u.source, u.key) for u in job.splits()]
    )
    files: list[FileEntry] = []
    seen: Counter[str] = Counter()
    for (home, key), outcome in zip(homes, outcomes, strict=True):
        file = outcome["files"]["shard"]
        seen[key] += 1
        if seen[key] > 1:  # the source holds the same file twice, so its documents are in the dataset twice
            key = f"{key}#{seen[key]}"
        if file["rows"]:
            suffix = os.path.splitext(file["path"])[1]
            # two shards of equal bytes would be one file listed twice, so the task's own name joins the digest
            name = f"data/{home}-{request_of(file['sha256'], key)[:20]}{suffix}"
            wanted[name] = file["path"]
            files.append({**_entry(file, name), "source": None if moved else home})
    return files


def _tables(job: Job, wanted: dict[str, str]) -> dict[str, list[FileEntry]]:
    tables: dict[str, list[FileEntry]] = {}
    for number, stage in enumerate(job.stages):
        for outcome in job.outcomes(number):
            for what, file in outcome["files"].items():
                kind, _, name = what.partition(".")
                if kind == "table":
                    kind = name.rpartition(".")[2]
                elif kind == "scores":
                    kind = f"scores/{name}"
                elif kind not in _KINDS:
                    continue
                target = f"{kind}/{stage.number}-{request_of(what, file['sha256'], outcome['content'])[:20]}.parquet"
                wanted[target] = file["path"]
                tables.setdefault(kind, []).append(_entry(file, target))
    return dict(sorted(tables.items()))


def _origins(job: Job) -> Origins | None:
    """The origins of the documents, from the tables of the last pass."""
    last = max(i for i, s in enumerate(job.stages) if s.kind == "pass")
    found = [o["files"]["origins"]["path"] for o in job.outcomes(last) if "origins" in o["files"]]
    batches = (b for path in found for b in read_shard(job.store.path(path)))
    return origins.summed(pa.Table.from_batches([b]) for b in batches)


def _schema(outcomes: list[Outcome]) -> list[Column]:
    from corpusmill.transforms.arrow import schema_of

    if not outcomes:
        return []
    schema = schema_of(outcomes[0]["schema"])
    return [{"name": f.name, "type": str(f.type)} for f in schema]


def remember(job: Job) -> None:
    """Record what a finished job was made from, before its snapshot is committed."""
    outcomes: set[str] = set()
    plans = [job.reads]
    for number in range(len(job.stages)):
        ready = job.prepare(number)
        plans.append(ready.task_list)
        outcomes.update(ready.requests)
        outcomes.update(o["content"] for o in job.outcomes(number))
    job.store.save_used(job.work_digest(), {"plans": plans, "outcomes": sorted(outcomes)})
    # `forget` runs the recipe from this folder; on a disk the path is relative, because the whole tree may be moved
    base = str(job.recipe.base_dir.resolve())
    if storage.is_local(job.dataset):
        base = os.path.relpath(base, storage.absolute(job.dataset))
    job.store.save_base(base)
