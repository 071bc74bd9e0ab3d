"""Arrival waves of files: the files of the first snapshot are wave 1, and files that a later snapshot adds are the next
wave.

The manifests hold the waves, beside the inputs. They decide which of two duplicates was there first (`Group.decide`),
so that refreshes keep published documents. A new dataset of the same sources has one wave and may keep other
duplicates, unless it takes the waves of the old dataset (`corpusmill run --arrivals DIR`). Small files share a shard
only with files of their wave. `corpusmill run --as-new` makes one wave of all files, and so packs the small files of
many refreshes into full shards.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.manifest import Input, snapshot_numbers


def inputs_of(dataset: str) -> list[Input]:
    """The inputs of a dataset's newest snapshot; none if there is no snapshot."""
    return Dataset(dataset).manifest()["inputs"] if snapshot_numbers(dataset) else []


def demanded(dataset: str) -> list[Input]:
    """As `inputs_of`, for a dataset that the user named.

    Raises:
        DatasetError: there is no snapshot.
    """
    try:
        return Dataset(dataset).manifest()["inputs"]
    except DatasetError as error:
        raise DatasetError(f"--arrivals: {error}") from None


def waves(before: Sequence[Input], listed: Sequence[Input]) -> list[int]:
    """The wave of each listed file, from the inputs of the snapshot before.

    A known path keeps its wave, even if its content changed. A new path with known content is a moved file and keeps
    its wave, too. All other files are a new wave: one more than the latest.

    >>> old = [{"source": "s", "path": "a", "digest": "1", "arrival": 1}, {"source": "s", "path": "b", "digest": "2"}]
    >>> new = [{"source": "s", "path": p, "digest": d} for p, d in (("a", "9"), ("c", "2"), ("d", "1"))]
    >>> waves(old, new)
    [1, 1, 2]
    """
    if not before:
        return [1] * len(listed)
    there = {(i["source"], i["path"]) for i in listed}
    known: dict[tuple[str, str], int] = {}
    moved: dict[tuple[str, str], int] = {}
    for i in before:
        wave = i.get("arrival", 1)  # older manifests have no waves
        known[i["source"], i["path"]] = wave
        if (i["source"], i["path"]) not in there:
            moved[i["source"], i["digest"]] = min(wave, moved.get((i["source"], i["digest"]), wave))
    new = max(known.values()) + 1
    return [known.get((i["source"], i["path"]), moved.get((i["source"], i["digest"]), new)) for i in listed]


def ranked(units: Sequence[int]) -> list[int] | None:
    """The waves of splits as 0, 1, 2, ...; None if all came at once."""
    numbers, ranks = np.unique(np.array(units, np.int64), return_inverse=True)
    return ranks.tolist() if len(numbers) > 1 else None
