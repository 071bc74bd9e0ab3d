"""Publishes counts of a snapshot's private documents: computed on Beam, paid from the ledger, kept beside the dataset.

    statistics/000001-01.json     first release for snapshot 1: what was counted, its cost, and the noisy counts

`corpusmill show` and the HTML report read them. A release is written once; asking again costs again.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corpusmill.pipelines.beam.raised import as_raised, noted
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.recipe.certify import of_snapshot
from corpusmill.privacy.certification import private_paths, private_sources
from corpusmill.privacy.ledger import Ledger
from corpusmill.transforms.errors import DatasetError, RecipeError
from corpusmill.transforms.storage import create_exclusive, fresh_name, is_local
from corpusmill.transforms.storage.local import naming

FOLDER = "statistics"


def publish(
    dataset: Dataset,
    number: int | None,
    by: Sequence[str],
    epsilon: float,
    delta: float,
    ledger: Ledger,
    max_groups: int = 1,
    workers: int = 1,
) -> dict[str, Any]:
    """Count a snapshot's documents of private sources (of all sources if none is private), and write the release.

    Raises:
        PrivacyError: a step of the snapshot, or of a dataset behind it, lets one unit change what is counted of others.
        BudgetError: the ledger cannot pay; nothing has been read then.
        RecipeError: epsilon or delta is out of range, or the documents lack a column of `by`.
        DatasetError: the snapshot holds packed rows, or lies in an object store.
    """
    import apache_beam as beam

    from corpusmill.pipelines.beam.counts import LENGTH, PrivateCounts
    from corpusmill.pipelines.runners.local import Local

    if not (math.isfinite(epsilon) and epsilon > 0 and 0 < delta < 1):  # nan compares as within every budget
        raise RecipeError(f"counts need a finite epsilon above 0 and delta between 0 and 1, not {epsilon} and {delta}")
    manifest = dataset.manifest(number)
    names = [field["name"] for field in manifest["schema"]]
    if not is_local(dataset.path):
        raise DatasetError(f"{dataset.path}: lies in an object store; copy the snapshot to a disk and count there.")
    if "text" not in names:
        raise DatasetError(
            f"{dataset.path}: snapshot {manifest['number']} holds packed rows; count the documents before `pack`."
        )
    unknown = [name for name in by if name not in (*names, LENGTH)]
    if unknown:
        raise RecipeError(
            f"--by {unknown[0]}: documents have no such column; they have {', '.join(names)}, and `length`"
        )
    budget = ledger.budget
    certification = of_snapshot(Path(dataset.path), manifest["number"], budget["unit"])
    certification.require("counted")
    hidden = private_sources(manifest)
    wanted = {"id", "source", "unit", "parent", budget["unit"], *by} | ({"text"} if LENGTH in by else set())
    columns = [name for name in names if name in wanted]
    transform = PrivateCounts(
        ledger,
        epsilon,
        delta,
        by,
        budget["unit"],
        max_groups,
        f"counts of snapshot {manifest['number']} by {{by}}",
        sources=private_paths(dataset.path, manifest["number"]),
    )
    part = Path(dataset.path) / FOLDER / fresh_name()
    part.parent.mkdir(exist_ok=True)

    def build(pipeline: beam.Pipeline) -> None:
        files = [os.path.join(dataset.path, f["path"]) for f in manifest["files"]]
        batches = pipeline | beam.Create(files) | beam.FlatMap(_read, columns, hidden)
        _ = batches | transform | beam.Map(_append, str(part))

    try:
        with as_raised():
            Local(workers, ()).run_graph(build)
        rows = [json.loads(line) for line in part.read_text().splitlines()] if part.exists() else []
    finally:
        part.unlink(missing_ok=True)
    release = {
        "snapshot": manifest["number"],
        "manifest": manifest["digest"],
        "sources": hidden or [s["name"] for s in manifest["recipe"]["sources"]],
        "population": budget["population"],
        "unit": budget["unit"],
        "adjacency": budget["adjacency"],
        "epsilon": epsilon,
        "delta": delta,
        "max_groups": max_groups,
        "assumptions": certification.assumptions,
        "by": list(by),
        "counts": sorted(rows, key=lambda r: (by.index(r["by"]), -r["units"])),
    }
    return release | {"file": _write(dataset.path, manifest["number"], release)}


def releases(path: str, number: int) -> list[dict[str, Any]]:
    """The releases of a snapshot, oldest first."""
    found = sorted((Path(path) / FOLDER).glob(f"{number:06}-*.json"))
    return [json.loads(file.read_text(encoding="utf-8")) for file in found]


def _write(path: str, number: int, release: dict[str, Any]) -> str:
    checksum = hashlib.sha256(json.dumps(release, sort_keys=True).encode()).hexdigest()
    data = (json.dumps({**release, "checksum": checksum}, indent=1, ensure_ascii=False) + "\n").encode()
    for i in range(1, 10_000):
        name = f"{FOLDER}/{number:06}-{i:02}.json"
        if create_exclusive(os.path.join(path, name), data):
            return name
    raise DatasetError(f"{path}/{FOLDER}: is full of releases of snapshot {number}.")


def _read(path: str, columns: list[str], sources: list[str]) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    from corpusmill.transforms.shards import read_shard

    with noted():
        for batch in read_shard(path, columns):
            yield batch.filter(pc.is_in(batch.column("source"), pa.array(sources, pa.string()))) if sources else batch


def _append(row: dict[str, Any], path: str) -> None:
    with noted(), naming(path), open(path, "a", encoding="utf-8") as f:
        f.write(json.dumps(row, ensure_ascii=False) + "\n")
