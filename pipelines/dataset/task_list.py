"""The task list of a stage: its requests, and what its tasks share. Stored once a stage; a task is (its digest, an index).

The file `plans/<digest>.json` is named by the digest of its bytes, by which it is checked when it is read.
"""

from __future__ import annotations

from typing import Any, TypedDict

from corpusmill.transforms.manifest import Input


class StagedShard(TypedDict):
    """A shard of the pass before: what it was computed from, its rows, and the path of its file."""

    content: str
    rows: int
    shard: str


class TaskList(TypedDict, total=False):
    """requests: one a task, of every kind but the list of splits, which has `units` and `inputs` and no tasks of its own."""

    requests: list[str]
    units: list[dict[str, Any]]
    """Of pass 0 and of the list of splits: each split as JSON (`corpusmill.transforms.sources.splits.Split`)."""
    inputs: list[Input]
    """Of the list of splits: the source files, as the manifest will name them."""
    left_out: list[dict[str, Any]]
    """Of the list of splits: `source`, `files` and an `example` of the files of folders that no source format knows."""
    shards: list[StagedShard]
    """Of a later pass, keys, scatter and conform: one a task."""
    told: list[str]
    """Of a later pass, keys, scatter and gather: files of decisions."""
    common: bool
    """Of a later pass, keys and scatter: the decisions are those about shard 0, for all shards."""
    schema: str
    """Of a later pass, scatter and conform: the schema that all shards shall have."""
    moved: list[str]
    """Of a pass behind a scatter: files of rows on the move."""
    to: int
    """Of scatter: the number of shards that rows go to."""
    keys: list[str]
    """Of decide: one file of keys a shard."""
    ranges: list[tuple[int, int]]
    """Of decide: the slices of keys of each task."""
    arrivals: list[int] | None
    """Of decide: the wave of each shard; None where all came at once."""
    rows: list[int]
    """Of gather: rows of each shard."""
