"""Opens a recipe as a job: lists the sources and stores the list of splits to read."""

from __future__ import annotations

import os
from typing import Any

from corpusmill.pipelines.dataset import arrivals, suppression
from corpusmill.pipelines.dataset.results import Store
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.dataset.task_list import TaskList
from corpusmill.pipelines.engine import staging
from corpusmill.pipelines.engine.job import Job
from corpusmill.pipelines.recipe.model import Recipe
from corpusmill.transforms.manifest import Input, snapshot_numbers
from corpusmill.transforms.sources.files import listed_as
from corpusmill.transforms.sources.listing import list_files
from corpusmill.transforms.sources.splits import Split, make_splits


def open_job(recipe: Recipe, before: list[Input] | None = None) -> Job:
    """List the recipe's sources and store the list of splits. Reads new files; writes only the store's own records.

    before: inputs of the snapshot whose arrival waves apply (`corpusmill.pipelines.dataset.arrivals`); default: the
    dataset's newest.
    """
    store = Store(recipe.dataset)
    known = store.listing()
    cache = dict(known)  # the listing adds to it
    if before is None:
        before = arrivals.inputs_of(recipe.dataset)
    splits: list[Split] = []
    inputs: list[Input] = []
    seen: dict[str, str] = {}
    listed = []
    left_out: list[dict[str, Any]] = []
    for spec in recipe.sources:
        unknown: list[str] = []
        files = list_files(spec, str(recipe.base_dir), cache, unknown)
        if unknown:
            left_out.append(
                {"source": spec.name, "files": len(unknown), "example": _shown(unknown[0], str(recipe.base_dir))}
            )
        keys = [listed_as(f.path, f.size, f.stamp) for f in files]
        seen.update({key: cache[key] for key in keys if key in cache})
        inputs += [
            {"source": spec.name, "path": _shown(f.path, str(recipe.base_dir)), "size": f.size, "digest": f.digest}
            for f in files
        ]
        listed.append((spec, files))
    came = arrivals.waves(before, inputs)
    for each, wave in zip(inputs, came, strict=True):
        each["arrival"] = wave
    for spec, files in listed:
        wave_of = dict(zip([f.path for f in files], came))
        del came[: len(files)]
        splits += sorted(make_splits(spec, files, recipe.output.shard_bytes, wave_of), key=lambda u: u.key)
    inputs.sort(key=lambda i: (i["source"], i["digest"], i["path"]))
    tasks: TaskList = {"units": [u.to_json() for u in splits], "inputs": inputs}
    if left_out:
        tasks["left_out"] = left_out
    reads = store.save_task_list(tasks)
    if seen != known:
        store.save_listing(seen)
    job = Job(recipe, store.dataset, reads, suppression.current(store.dataset).number)
    job.stage_form = staging.form(store.dataset, sum(i["size"] for i in inputs), len(job.groups))
    return job


def _shown(path: str, base: str) -> str:
    """A path as manifests name it: relative to the recipe's folder where it lies below or beside it. Bytes of a name that are
    no UTF-8 are written out."""
    if "://" not in path:
        relative = os.path.relpath(path, base)
        path = path if relative.startswith("../../..") else relative
    return path.encode("utf-8", "backslashreplace").decode()


def nothing_new(job: Job) -> bool:
    """Whether the newest snapshot was made from exactly this work."""
    if not snapshot_numbers(job.dataset):
        return False
    return bool(Dataset(job.dataset).manifest()["work"] == job.work_digest())
