"""Checks the finished work of a dataset: outcomes, task lists, records, and every file that they name.

Damaged work can always be made again from its inputs. A run that meets damage removes all damaged work and makes it
again; `corpusmill verify` names it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import Any

from corpusmill.pipelines.dataset import submissions
from corpusmill.pipelines.dataset.outcome import WorkFile
from corpusmill.pipelines.dataset.results import Store
from corpusmill.pipelines.dataset.sealed import older, unseal
from corpusmill.transforms import batches, storage
from corpusmill.transforms.errors import DamagedWorkError
from corpusmill.transforms.storage import TEMPORARY

_RECORDS = ("done", "used", "runs")
"""Folders of sealed records."""
_NOTES = ("listing.json", "recipe.json")


def damaged(dataset: str) -> Iterator[tuple[str, str]]:
    """(path relative to the dataset, problem) of each work file whose bytes have changed. A missing file is not damage:
    the task that wrote it counts as unfinished."""
    store = Store(dataset)
    files: dict[str, WorkFile] = {}
    for name in _names(store, *_RECORDS):
        record, problem = _record(store.path(name))
        if problem:
            yield name, problem
        files.update({f["path"]: f for f in record.get("files", {}).values()})
    for note in _NOTES:
        name = os.path.join(".corpusmill", note)
        if problem := _record(store.path(name))[1]:
            yield name, problem
    for name in _names(store, "plans"):
        if hashlib.sha256(storage.read_bytes(store.path(name))).hexdigest()[:40] != os.path.basename(name)[:-5]:
            yield name, "its bytes differ from the digest in its name"
    for name in _names(store, "work"):
        problem = _file_problem(store.path(name), files.get(name))
        if problem:
            yield name, problem


def remove_damaged(dataset: str) -> list[str]:
    """Remove every damaged work file, so that it is made again; returns their names."""
    store = Store(dataset)
    names = [name for name, _ in damaged(dataset)]
    for name in names:
        storage.remove(store.path(name))
    store.forget_known()
    return names


def remove_temporary(dataset: str) -> int:
    """Remove temporary files of killed runs; returns their number. The caller holds the lock, so no other run on this
    machine writes them. While there is a submitted run, nothing is removed, because its workers are elsewhere. Released
    statistics are written without the lock and are left alone. Object stores have no temporary files."""
    if not storage.is_local(dataset) or submissions.waiting(dataset):
        return 0
    statistics = os.path.join(dataset, "statistics", "")
    names = [e.uri for e in storage.below(dataset) if os.path.basename(e.uri).startswith(TEMPORARY)]
    names = [name for name in names if not name.startswith(statistics)]
    for name in names:
        storage.remove(name)
    return len(names)


def _names(store: Store, *folders: str) -> list[str]:
    """Files below folders of the store, relative to the dataset, sorted, without temporary files."""
    found = (e.uri for folder in folders for e in storage.below(os.path.join(store.root, folder)))
    return sorted(store.relative(uri) for uri in found if not os.path.basename(uri).startswith(TEMPORARY))


def _record(path: str) -> tuple[dict[str, Any], str]:
    """(a sealed record, its problem or ""). A record of an older version, or a missing one, counts as empty and
    sound."""
    try:
        data = storage.read_bytes(path)
    except FileNotFoundError:
        return {}, ""
    try:
        return unseal(data), ""
    except ValueError as error:
        return {}, "" if older(data) else str(error)


def _file_problem(path: str, file: WorkFile | None) -> str:
    """The problem of a work file, or "". file: its entry in an outcome, if there is one."""
    try:
        if path.endswith(batches.SUFFIX):
            batches.check(path)
        elif file is not None and file.get("sha256") and storage.sha256_of(path) != file["sha256"]:
            return "its SHA-256 differs from its outcome"
    except DamagedWorkError as error:
        return error.what
    except FileNotFoundError:
        return ""
    return ""
