"""With which wave each file came to a dataset: its first snapshot's files are wave 1, what a later one added is the next.

The waves stand in the manifests, beside the inputs. They decide which of two duplicates was there first (`Group.decide`), so
that refreshes leave alone what is published; a dataset that is made anew of the same sources has one wave, and may choose
others, unless it is given the waves of the old one (`corpusmill run --arrivals DIR`). Small files share shards within their
wave only; `corpusmill run --as-new` makes one wave of all, and full shards of those of many refreshes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.manifest import Input, snapshot_numbers


def inputs_of(dataset: str) -> list[Input]:
    """The inputs of a dataset's newest snapshot; none where there is no snapshot."""
    return Dataset(dataset).manifest()["inputs"] if snapshot_numbers(dataset) else []


def demanded(dataset: str) -> list[Input]:
    """`inputs_of` a dataset that was named.

    Raises:
        DatasetError: there is no snapshot.
    """
    try:
        return Dataset(dataset).manifest()["inputs"]
    except DatasetError as error:
        raise DatasetError(f"--arrivals: {error}") from None


def waves(before: Sequence[Input], listed: Sequence[Input]) -> list[int]:
    """The wave of each listed file, from the inputs of the snapshot before.

    A file is known by its path, whatever has become of its content; one that was moved, by its content. What is not known is
    one more than the latest of those that were there.

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
        wave = i.get("arrival", 1)  # manifests before waves were told
        known[i["source"], i["path"]] = wave
        if (i["source"], i["path"]) not in there:
            moved[i["source"], i["digest"]] = min(wave, moved.get((i["source"], i["digest"]), wave))
    new = max(known.values()) + 1
    return [known.get((i["source"], i["path"]), moved.get((i["source"], i["digest"]), new)) for i in listed]


def ranked(units: Sequence[int]) -> list[int] | None:
    """The waves of units as 0, 1, 2, ...; None where all came at once."""
    numbers, ranks = np.unique(np.array(units, np.int64), return_inverse=True)
    return ranks.tolist() if len(numbers) > 1 else None
