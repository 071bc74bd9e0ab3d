"""The outcome of a finished task: what it wrote, and the figures that later stages and the funnel need.

One file a task, `done/<aa>/<request>.json`, sealed by a checksum (`corpusmill.pipelines.dataset.sealed`). It is written
last, so it means that every file it names was whole.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class WorkFile(TypedDict):
    """A file that a task wrote. path: relative to the dataset; size: of the file, on a disk; the rest: of Parquet and Arrow
    files that a snapshot may publish (rows, bytes of text, SHA-256)."""

    path: str
    size: NotRequired[int]
    rows: NotRequired[int]
    bytes: NotRequired[int]
    sha256: NotRequired[str]


class CountRecord(TypedDict):
    """The accounting of one step over one shard, see `corpusmill.pipelines.engine.chain.Count`."""

    step: str
    kind: str
    rows_in: int
    rows_out: int
    derived: int
    bytes_in: int
    bytes_out: int
    dropped: dict[str, int]
    details: dict[str, Any]


class ReadRecord(TypedDict):
    """What a split gave: rows read, bytes of text, bad rows, the first of these in words, and suppressed rows."""

    source: str
    rows: int
    bytes: int
    bad: int
    example: str
    file_bytes: NotRequired[int]
    lost_bytes: NotRequired[int]
    """Bytes of the files, and of those that are quarantined whole."""
    suppressed: NotRequired[int]
    suppressed_bytes: NotRequired[int]
    left_out: NotRequired[dict[str, tuple[int, str]]]
    """What files hold that is neither a document nor a fault: kind to number and an example."""


class Outcome(TypedDict, total=False):
    """content: digest of what the result depends on, which may be less than its request; files: by kind, as `shard`, `keys`,
    `told` (decisions), `moved`, `dropped`, `cut`, `quarantine`, `ids`, `scores.<step>`, `table.<step>.<name>`.

    cpu_seconds: of the task; first: whether it was the first of its stage in its process, which loads code and tables.
    """

    content: str
    files: dict[str, WorkFile]
    cpu_seconds: float
    first: bool
    key_bytes: int
    """Of keys or decisions that go on to other tasks."""
    rows: int
    """Of a pass: rows of its shard; of the others: rows that came in."""
    bytes: int
    """Of a pass: text in its shard; of a scatter: bytes of the rows on the move."""
    schema: str
    """Of a pass: the schema of its shard, as `corpusmill.transforms.arrow.wire_of` writes it."""
    counts: list[CountRecord]
    read: ReadRecord
    """Of pass 0."""
    told: int
    """Of decide and gather: rows of decisions."""
    shards: int | None
    """Of decide: the number of shards that a moving group asks for."""
    to: int
    """Of scatter: the number of shards that rows go to."""
    of: str
    """Of conform: the content of the shard that was written again."""
