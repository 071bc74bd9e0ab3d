"""The outcome of a finished task: the files that it wrote, and the figures that later stages and the funnel need.

One file a task, `done/<aa>/<request>.json`, sealed by a checksum (`corpusmill.pipelines.dataset.sealed`). It is written
last, so every file that it names is whole.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class WorkFile(TypedDict):
    """A file that a task wrote. path: relative to the dataset. size: of the file, if it is on a disk. rows, bytes (of
    text), sha256: only of Parquet and Arrow files that a snapshot may publish."""

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
    """Figures of a split: rows read, bytes of text, bad rows, a description of the first bad row, and suppressed
    rows."""

    source: str
    rows: int
    bytes: int
    bad: int
    example: str
    file_bytes: NotRequired[int]
    lost_bytes: NotRequired[int]
    """Bytes of all files, and bytes of files that are quarantined whole."""
    suppressed: NotRequired[int]
    suppressed_bytes: NotRequired[int]
    left_out: NotRequired[dict[str, tuple[int, str]]]
    """What files hold that is neither a document nor a fault: kind to number and an example."""


class Outcome(TypedDict, total=False):
    """content: digest of what the result depends on, which may be less than its request; files: by kind, as `shard`, `keys`,
    `told` (decisions), `moved`, `dropped`, `cut`, `quarantine`, `origins`, `ids`, `scores.<step>`, `table.<step>.<name>`.

    cpu_seconds: of the task. first: whether it was the first of its stage in its process, which loads code and tables.
    """

    content: str
    files: dict[str, WorkFile]
    cpu_seconds: float
    first: bool
    key_bytes: int
    """Bytes of keys or decisions that go to other tasks."""
    rows: int
    """Of a pass: rows of its shard. Of other tasks: rows of input."""
    bytes: int
    """Of a pass: text in its shard. Of a scatter: bytes of the moved rows."""
    schema: str
    """Of a pass: the schema of its shard, from `corpusmill.transforms.arrow.wire_of`."""
    counts: list[CountRecord]
    read: ReadRecord
    """Of pass 0."""
    told: int
    """Of decide and gather: rows of decisions."""
    shards: int | None
    """Of decide: the number of shards that a moving group asks for."""
    to: int
    """Of scatter: the number of receiving shards."""
    of: str
    """Of conform: the content of the shard that was rewritten."""
