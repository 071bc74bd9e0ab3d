"""The task list of a stage: its requests, and what its tasks share. It is stored once per stage. A task is named by the
list's digest and an index.

The name of the file `plans/<digest>.json` is the digest of its bytes, which is checked when it is read.
"""

from __future__ import annotations

from typing import Any, TypedDict

from corpusmill.transforms.manifest import Input


class StagedShard(TypedDict):
    """A shard of the pass before: its content fingerprint, its number of rows, and the path of its file."""

    content: str
    rows: int
    shard: str


class TaskList(TypedDict, total=False):
    """requests: one per task. The list of splits has `units` and `inputs` instead, and no tasks."""

    requests: list[str]
    units: list[dict[str, Any]]
    """Of pass 0 and of the list of splits: each split as JSON (`corpusmill.transforms.sources.splits.Split`)."""
    inputs: list[Input]
    """Of the list of splits: the source files, as in the manifest."""
    left_out: list[dict[str, Any]]
    """Of the list of splits: `source`, `files` (number) and an `example` of files in source folders whose format is
    unknown."""
    shards: list[StagedShard]
    """Of a later pass, keys, scatter and conform: one shard per task."""
    told: list[str]
    """Of a later pass, keys, scatter and gather: files of decisions."""
    common: bool
    """Of a later pass, keys and scatter: the decisions are those about shard 0, for all shards."""
    schema: str
    """Of a later pass, scatter and conform: the common schema of all shards."""
    moved: list[str]
    """Of a pass after a scatter: files of moved rows."""
    to: int
    """Of scatter: the number of receiving shards."""
    keys: list[str]
    """Of decide: one file of keys per shard."""
    ranges: list[tuple[int, int]]
    """Of decide: the slices of keys of each task."""
    arrivals: list[int] | None
    """Of decide: the arrival wave of each shard; None if all came at once."""
    rows: list[int]
    """Of gather: rows of each shard."""
