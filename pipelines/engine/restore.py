"""Restores missing files of the newest snapshot from finished work, or from the sources.

The same inputs give the same bytes, so a run that finds nothing new can restore removed files. A file whose bytes
differ from its digest is left alone: `verify` names it. Remove it, and the next run restores it.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from corpusmill.pipelines.engine.commit import publish, published_names
from corpusmill.pipelines.engine.job import Job
from corpusmill.transforms import storage
from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.manifest import Manifest, files_of


def lost(dataset: str, manifest: Manifest) -> dict[str, str]:
    """Missing files of a snapshot: name -> SHA-256."""
    files = {f["path"]: f["sha256"] for f in files_of(manifest)}
    folders = {os.path.dirname(name) for name in files}
    there = {f"{f}/{name}" for f in folders for name in storage.names_in(os.path.join(dataset, f))}
    return {name: digest for name, digest in files.items() if name not in there}


def restore(missing: dict[str, str], completed: Callable[[], Job]) -> None:
    """Write the missing files of a snapshot. `completed` opens the job that made the snapshot and finishes all of its
    stages.

    Raises:
        DatasetError: the recipe no longer gives these bytes.
    """
    job = completed()
    names = published_names(job)
    damaged = [
        path
        for name, digest in missing.items()
        if (path := names.get(name)) and storage.sha256_of(job.store.path(path)) != digest
    ]
    if damaged:  # a shard and the work behind it may be one file with two names
        for path in damaged:
            storage.remove(job.store.path(path))
        job.store.forget_known()
        job = completed()
        names = published_names(job)
    other = [
        n for n, digest in missing.items() if n not in names or storage.sha256_of(job.store.path(names[n])) != digest
    ]
    if other:
        raise DatasetError(
            f"{job.dataset}: {other[0]} is missing, and the recipe no longer gives its bytes. To go on: restore it from a "
            "copy, or change the recipe or its sources, so that a new snapshot follows."
        )
    publish(job, {name: names[name] for name in missing}, missing)
