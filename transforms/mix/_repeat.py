"""Writes documents several times over shuffled shards: what `mix` and `upsample` do once they know the epochs."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.transforms.base import Applied, Routed
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.hashing import GOLDEN, U, mix64_array
from corpusmill.transforms.random import EPOCH, Keyed, uniform_array


def repeated(
    step: str, batch: pa.RecordBatch, epochs: np.ndarray, shards: int, rng: Keyed, lost: dict[str, np.ndarray]
) -> tuple[Routed, np.ndarray]:
    """Where the copies of a batch go, and the row of each copy int64 [m].

    Each document is written floor(epochs) times, and once more with the probability that is left; its copies have `epoch` 0, 1,
    ... Shard and place of (id, epoch) are keyed draws.

    Args:
        step: its name, for errors.
        batch: n documents.
        epochs: float64 [n], expected epochs.
        shards: number of shards to write.
        rng: of the step.
        lost: reason -> bool [n], rows that are dropped whatever their epochs; the first reason counts. Others without a copy
            are `not-sampled`.
    """
    keys = rng.keys(batch)
    whole = np.floor(epochs)
    times = (whole + (uniform_array(keys, 0) < epochs - whole)).astype(np.int64)
    for rows in lost.values():
        times[rows] = 0
    source = np.repeat(np.arange(batch.num_rows), times)
    copy = np.arange(len(source)) - np.repeat(np.cumsum(times) - times, times)
    length = pc.binary_length(batch.column("text")).fill_null(0).to_numpy(zero_copy_only=False)
    if int(length[source].sum(dtype=np.int64)) > np.iinfo(np.int32).max:
        raise RecipeError(f"{step}: the repeats of one batch take more than 2 GiB; ask for fewer epochs or copies")
    mixed = batch.take(pa.array(source)).append_column(EPOCH, pa.array(copy, pa.int32()))
    streams = keys[source]
    to = ((_draws(streams, 2 * copy + 1) >> U(32)) * U(shards)) >> U(32)
    gone = np.flatnonzero(times == 0)
    reasons = np.full(batch.num_rows, "not-sampled", object)
    values = epochs.astype(np.float64)
    for reason, rows in reversed(lost.items()):
        reasons[rows], values[rows] = reason, np.nan
    applied = Applied(batch.slice(0, 0), gone, reasons[gone].tolist(), values[gone].tolist(), [None] * len(gone))
    return Routed(mixed, to.astype(np.uint32), _draws(streams, 2 * copy + 2), applied), source


def _draws(keys: np.ndarray, counters: np.ndarray) -> np.ndarray:
    """`corpusmill.transforms.random.draw_array` with a counter of its own for each key: uint64 [n]."""
    with np.errstate(over="ignore"):
        return mix64_array(keys ^ mix64_array((counters.astype(np.uint64) + U(1)) * GOLDEN))
