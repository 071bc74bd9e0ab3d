"""Records of submitted runs: `.corpusmill/runs/<id>.json`. A record stays until its snapshot is removed, or somebody
gives the run up.

A run that is neither committed nor given up may be in progress on other machines, and may need any finished work. So
`gc` keeps all finished work while there is such a run. A run that was submitted before a takedown is never committed,
and nothing is kept for it.
"""

from __future__ import annotations

import os
from typing import Any, TypedDict

from corpusmill.pipelines.dataset import suppression
from corpusmill.pipelines.dataset.results import Store
from corpusmill.pipelines.dataset.sealed import seal, unseal
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.transforms import storage
from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.manifest import snapshot_numbers


class Submission(TypedDict):
    """A submitted run. recipe: with every default, and with class and version of each step. base_dir: the recipe's
    folder. reads: digest of the list of splits. suppressed: number of files of the suppression list. since: number of
    the newest snapshot at submission."""

    recipe: dict[str, Any]
    base_dir: str
    reads: str
    suppressed: int
    since: int


def write(dataset: str, run: str, submission: Submission) -> None:
    """Store the record of a run."""
    path = path_of(dataset, run)
    storage.makedirs(os.path.dirname(path))
    storage.write_atomic(path, seal(dict(submission)))


def path_of(dataset: str, run: str) -> str:
    """Path of the record of a run."""
    return os.path.join(Store(dataset).root, "runs", f"{run}.json")


def runs(dataset: str) -> list[str]:
    """Ids of the runs that were submitted, oldest first."""
    found = list(storage.below(os.path.dirname(path_of(dataset, ""))))
    names = ((os.path.basename(e.uri), e.modified) for e in found)
    return [
        n[:-5] for n, _ in sorted(names, key=lambda n: (n[1], n[0])) if n.endswith(".json") and not n.startswith(".")
    ]


def read(dataset: str, run: str) -> Submission:
    """Read the record of a run.

    Raises:
        DatasetError: it is damaged.
    """
    path = path_of(dataset, run)
    try:
        record: Any = unseal(storage.read_bytes(path))
    except ValueError as error:
        raise DatasetError(f"{path}: damaged: {error}. Submit the recipe again: what is finished is reused.") from error
    return record


def committed_as(dataset: str, work: str, since: int) -> int | None:
    """The newest snapshot after `since` that was made by this work. `work` may be the first digits."""
    reader = Dataset(dataset) if snapshot_numbers(dataset) else None
    found = [n for n in (reader.numbers if reader else []) if n > since]
    return next((n for n in reversed(found) if reader and reader.manifest(n)["work"].startswith(work)), None)


def waiting(dataset: str) -> list[str]:
    """Runs that may be in progress: neither committed nor made void by a takedown. A damaged record counts as one."""
    listed = suppression.current(dataset).number
    found = []
    for run in runs(dataset):
        try:
            data = read(dataset, run)
        except DatasetError:
            found.append(run)
            continue
        if data["suppressed"] == listed and committed_as(dataset, run, data["since"]) is None:
            found.append(run)
    return found


def ended(dataset: str, kept: set[int]) -> list[str]:
    """Runs that are of no more use: void, or committed as a snapshot that is not in `kept`."""
    live = set(waiting(dataset))
    gone = [r for r in runs(dataset) if r not in live]
    return [r for r in gone if committed_as(dataset, r, read(dataset, r)["since"]) not in kept]


def known(dataset: str, run: str) -> None:
    """Raise DatasetError unless there is such a run."""
    there = runs(dataset)
    if run not in there:
        said = f"no run {run}. Submitted runs: {', '.join(there)}" if there else "no submitted run"
        raise DatasetError(f"{dataset} has {said}. `corpusmill submit RECIPE --runner dataflow` makes one.")
