"""Publishing a finished job as the next snapshot.

Order of writes: shards and tables (new names, content-addressed), then the manifest, by compare-and-set on its number, then
what can be made again from the manifest at any time: README.md, SHA256SUMS, the event. A death between two of them leaves
either the old snapshot or the new one, and the same command heals the rest.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections import Counter
from typing import Any

from pipelines import expect
from pipelines.card import readme
from pipelines.funnel import build
from pipelines.gc import remember
from pipelines.job import Job
from pipelines.mixture import mixture
from pipelines.snapshot import Dataset, manifest_name, snapshot_numbers
from pipelines.store import request_of
from transforms.errors import DatasetError, LockedError
from transforms.storage import create_exclusive, link_or_copy, write_atomic

_TABLES = {"dropped": "dropped", "quarantine": "quarantine"}


def commit(job: Job) -> dict[str, Any]:
    """Commit a job whose stages are all done; returns the manifest as `Dataset.manifest` gives it.

    Raises:
        ConservationError: rows do not add up; nothing is committed.
        ExpectationError: the recipe expects something else; nothing is committed.
        LockedError: another process committed meanwhile; the same command commits on top of it.
    """
    funnel = build(job)
    outcomes = job.published()
    numbers = snapshot_numbers(job.dataset)
    parent = Dataset(job.dataset).manifest(numbers[-1]) if numbers else None
    expect.check(job, funnel, parent)
    remember(job)
    files = _publish_shards(job, outcomes)
    tables = _publish_tables(job)
    manifest = {
        "format": 1,
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
        "inputs": job.store.load_plan(job.reads)["inputs"],
    }
    mixed = mixture(job.dataset, tables, funnel)
    if mixed:
        manifest["mixture"] = mixed
    if job.suppressed:
        manifest["suppressed"] = {"lists": job.suppressed, "digest": job.suppression.digest}
    return publish_manifest(job.dataset, numbers[-1] + 1 if numbers else 1, manifest)


def manifest_bytes(manifest: dict[str, Any]) -> bytes:
    """A manifest as it is written."""
    return (json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def publish_manifest(dataset: str, number: int, manifest: dict[str, Any]) -> dict[str, Any]:
    """Commit a manifest whose files are all there, by compare-and-set on its number.

    Raises:
        LockedError: another process took the number.
    """
    os.makedirs(os.path.join(dataset, "snapshots"), exist_ok=True)
    if not create_exclusive(os.path.join(dataset, manifest_name(number)), manifest_bytes(manifest)):
        raise LockedError(
            f"{dataset}: another process committed snapshot {number} meanwhile. Run the same command again."
        )
    return finish(dataset)


def finish(dataset: str) -> dict[str, Any]:
    """Write what follows from the newest manifest: README.md, SHA256SUMS and its event, where they are not there yet."""
    reader = Dataset(dataset)
    manifest = reader.manifest()
    if manifest["created"] is None:
        _event(reader, manifest)
        manifest = reader.manifest()
    listed = [*manifest["files"], *(f for files in manifest["tables"].values() for f in files)]
    sums = "".join(f"{f['sha256']}  {f['path']}\n" for f in sorted(listed, key=lambda f: f["path"]))
    _replace(os.path.join(dataset, "SHA256SUMS"), sums)
    _replace(os.path.join(dataset, "README.md"), readme(manifest))
    return manifest


def _replace(path: str, text: str) -> None:
    try:
        with open(path, encoding="utf-8") as f:
            if f.read() == text:
                return
    except FileNotFoundError:
        pass
    write_atomic(path, text.encode())


def _publish(job: Job, file: dict[str, Any], name: str) -> dict[str, Any]:
    target = os.path.join(job.dataset, name)
    if not os.path.exists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        link_or_copy(job.store.path(file["path"]), target)
    return {"path": name, "rows": file["rows"], "bytes": file["bytes"], "size": file["size"], "sha256": file["sha256"]}


def _publish_shards(job: Job, outcomes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    # where a group has moved the rows, a shard is no longer that of one source
    moved = any(g.transform.moves for g in job.groups)
    homes = (
        [(job.recipe.name, str(i)) for i in range(len(outcomes))]
        if moved
        else [(u.source, u.key) for u in job.read_units()]
    )
    files = []
    seen: Counter[str] = Counter()
    for (home, key), outcome in zip(homes, outcomes, strict=True):
        file = outcome["files"]["shard"]
        seen[key] += 1
        if seen[key] > 1:  # the same file lies twice in the source: its documents are there twice
            key = f"{key}#{seen[key]}"
        if file["rows"]:
            suffix = os.path.splitext(file["path"])[1]
            # named by its bytes: two shards of equal bytes would be one file listed twice, so the unit's own name joins in
            name = f"data/{home}-{request_of(file['sha256'], key)[:20]}{suffix}"
            files.append({**_publish(job, file, name), "source": None if moved else home})
    return files


def _publish_tables(job: Job) -> dict[str, list[dict[str, Any]]]:
    tables: dict[str, list[dict[str, Any]]] = {}
    for number, stage in enumerate(job.stages):
        for outcome in job.outcomes(number):
            for what, file in outcome["files"].items():
                kind, _, name = what.partition(".")
                if kind == "table":
                    kind = name.rpartition(".")[2]
                elif kind == "scores":
                    kind = f"scores/{name}"
                elif kind not in _TABLES:
                    continue
                target = f"{kind}/{stage.number}-{request_of(what, file['sha256'], outcome['content'])[:20]}.parquet"
                tables.setdefault(kind, []).append(_publish(job, file, target))
    return dict(sorted(tables.items()))


def _schema(outcomes: list[dict[str, Any]]) -> list[dict[str, str]]:
    import pyarrow as pa

    if not outcomes:
        return []
    schema = pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(outcomes[0]["schema"])))
    return [{"name": f.name, "type": str(f.type)} for f in schema]


def _event(reader: Dataset, manifest: dict[str, Any]) -> None:
    """Append a run event in OpenLineage's shape (openlineage.io, spec 2-0-2)."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    # the same snapshot has the same run id, so a healed event is the event that the crash lost
    run = str(uuid.uuid5(uuid.NAMESPACE_URL, manifest["digest"]))
    event = {
        "eventType": "COMPLETE",
        "eventTime": now,
        "producer": "https://github.com/corpusmill/corpusmill",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json",
        "run": {"runId": run},
        "job": {"namespace": "corpusmill", "name": manifest["name"]},
        "inputs": [{"namespace": "file", "name": i["path"]} for i in manifest["inputs"]],
        "outputs": [
            {
                "namespace": "file",
                "name": manifest["name"],
                "facets": {
                    "version": {"datasetVersion": str(manifest["number"])},
                    "outputStatistics": {
                        "rowCount": manifest["documents"],
                        "size": sum(f["size"] for f in manifest["files"]),
                    },
                },
            }
        ],
    }
    path = os.path.join(reader.path, "events.jsonl")
    try:
        with open(path, "ab+") as f:
            f.seek(0, os.SEEK_END)
            torn = f.tell() > 0 and (f.seek(-1, os.SEEK_END), f.read(1))[1] != b"\n"
            f.write((b"\n" if torn else b"") + json.dumps(event, sort_keys=True).encode() + b"\n")
            f.flush()
            os.fsync(f.fileno())
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written: {error.strerror}. The snapshot itself is committed.") from error
