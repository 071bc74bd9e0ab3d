"""What a worker takes for its greatest unit, in bytes and in words."""

from __future__ import annotations

from corpusmill.pipelines.engine.job import DECIDE_BYTES, Job
from corpusmill.transforms.exchange import FINE

MB = 1_000_000
BASE_MEMORY = 330 * MB
"""Beam, numba, pyarrow and their kernels, loaded."""
BATCH_BYTES = 16 * MB
"""Text of the batches that a pass works on at a time, at most."""
BATCH_FACTOR = 12
"""Bytes in use for a byte of a worker's batch: columns before and after a step, word tables, a row group being written."""
KEY_FACTOR = 6
"""Bytes in use for a byte of keys that a decide unit takes on: the table, its sort order, groups, answers."""
GATHER_BYTES = 18
"""Of a unit that gathers, for each document of the run (`corpusmill.transforms.dedup._candidates.components`)."""


def task_memory(job: Job, keys: int = 0, documents: int = 0) -> tuple[int, str]:
    """(bytes that a worker takes for its greatest unit, the formula in words). A pass streams batches and writes row groups; a
    decide unit holds the keys of its range; a gather unit numbers all documents; each on top of the loaded libraries.

    keys: bytes of keys of the greatest decide stage, where they are known; documents: before the greatest gather stage. Keys are
    cut into `FINE` ranges and no more, so beyond `FINE` * `DECIDE_BYTES` of them the units grow.
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
    ), f"{BASE_MEMORY / MB:.0f} MB of libraries + the greatest of {words}"
