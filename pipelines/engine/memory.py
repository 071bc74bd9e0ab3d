"""Estimates the memory that a worker needs for its largest task."""

from __future__ import annotations

from corpusmill.pipelines.engine.job import DECIDE_BYTES, Job
from corpusmill.transforms.exchange import FINE

MB = 1_000_000
BASE_MEMORY = 330 * MB
"""Bytes of the loaded libraries: Beam, numba, pyarrow and their kernels."""
BATCH_BYTES = 16 * MB
"""Largest size in bytes of text of the batches that a pass holds at a time."""
BATCH_FACTOR = 12
"""Bytes of memory per byte of a batch: columns before and after a step, word tables, the row group being written."""
KEY_FACTOR = 6
"""Bytes of memory per byte of keys of a decide task: the table, its sort order, groups, decisions."""
GATHER_BYTES = 18
"""Bytes of memory per document of the run in a gather task (`corpusmill.transforms.dedup._candidates.components`)."""


def task_memory(job: Job, keys: int = 0, documents: int = 0) -> tuple[int, str]:
    """(bytes that a worker needs for its largest task, the formula in words). A pass streams batches and writes row
    groups. A decide task holds the keys of its range. A gather task numbers all documents. The loaded libraries come on
    top.

    keys: bytes of keys of the largest decide stage, if known. documents: documents before the largest gather stage.
    Keys are cut into at most `FINE` ranges, so tasks grow beyond `FINE` * `DECIDE_BYTES` of keys.
    """
    share = max(DECIDE_BYTES, -(-keys // FINE)) if job.groups else 0
    moved = any(g.transform.moves for g in job.groups)
    gathers = any(g.transform.gathered for g in job.groups)
    parts = [
        (BATCH_FACTOR * BATCH_BYTES, f"{BATCH_FACTOR} x {BATCH_BYTES / MB:.0f} MB of batches"),
        (KEY_FACTOR * share, f"{KEY_FACTOR} x {share / MB:,.0f} MB of keys"),
        (GATHER_BYTES * documents if gathers else 0, f"{GATHER_BYTES} bytes x {documents:,} documents"),
        (
            3 * job.recipe.output.shard_bytes if moved else 0,
            f"3 x {job.recipe.output.shard_bytes / MB:.0f} MB of a mixed shard",
        ),
    ]
    words = ", ".join(text for size, text in parts if size)
    return BASE_MEMORY + max(
        size for size, _ in parts
    ), f"{BASE_MEMORY / MB:.0f} MB of libraries + the largest of {words}"
