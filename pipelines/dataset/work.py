"""Checks the finished work of a dataset: outcomes, task lists, notes, and every file that they name.

A damaged one is worth nothing, and whatever it was made from is still there. So a run that meets one removes all that are
damaged, and makes them again; `corpusmill verify` names them.
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
    """(path relative to the dataset, what is wrong) of each file of work whose bytes are not as they were written. A file that
    is gone is no damage: what names it counts as unfinished."""
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
            yield name, "its bytes do not fit its name"
    for name in _names(store, "work"):
        problem = _file_problem(store.path(name), files.get(name))
        if problem:
            yield name, problem


def remove_damaged(dataset: str) -> list[str]:
    """Remove every damaged file of work, so that it is made again; returns their names."""
    store = Store(dataset)
    names = [name for name, _ in damaged(dataset)]
    for name in names:
        storage.remove(store.path(name))
    store.forget_known()
    return names


def remove_temporary(dataset: str) -> int:
    """Remove what killed runs were writing; returns how many files. The caller holds the lock, so nobody writes them now, but for
    submitted runs, whose workers nobody here sees: while there is one, all stays. Released statistics are written without the
    lock, and object stores have no such files."""
    if not storage.is_local(dataset) or submissions.waiting(dataset):
        return 0
    statistics = os.path.join(dataset, "statistics", "")
    names = [e.uri for e in storage.below(dataset) if os.path.basename(e.uri).startswith(TEMPORARY)]
    names = [name for name in names if not name.startswith(statistics)]
    for name in names:
        storage.remove(name)
    return len(names)


def _names(store: Store, *folders: str) -> list[str]:
    """Files below folders of the store, relative to the dataset, sorted; without those that are being written."""
    found = (e.uri for folder in folders for e in storage.below(os.path.join(store.root, folder)))
    return sorted(store.relative(uri) for uri in found if not os.path.basename(uri).startswith(TEMPORARY))


def _record(path: str) -> tuple[dict[str, Any], str]:
    """(a sealed record, what is wrong with it). One of an older corpusmill, or one that is gone, counts as empty and sound."""
    try:
        data = storage.read_bytes(path)
    except FileNotFoundError:
        return {}, ""
    try:
        return unseal(data), ""
    except ValueError as error:
        return {}, "" if older(data) else str(error)


def _file_problem(path: str, file: WorkFile | None) -> str:
    """What is wrong with a file of work, or "". file: how an outcome names it, if one does."""
    try:
        if path.endswith(batches.SUFFIX):
            batches.check(path)
        elif file is not None and file.get("sha256") and storage.sha256_of(path) != file["sha256"]:
            return "its SHA-256 is not that of its outcome"
    except DamagedWorkError as error:
        return error.what
    except FileNotFoundError:
        return ""
    return ""
