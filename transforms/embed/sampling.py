"""A sample that is drawn by ids: the same documents for any order, sharding and number of workers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from corpusmill.transforms.hashing import U, hash64, hash_text, mix64_array


def chance(documents: int, sample: int) -> int:
    """The bound of `drawn` that leaves about `sample` of so many documents."""
    return (1 << 64) - 1 if documents <= sample else (sample << 64) // documents


def drawn(ids: pa.Array, bound: int) -> np.ndarray:
    """bool [n]: which ids are in the sample."""
    mask: np.ndarray = order_of(ids) <= U(bound)
    return mask


def order_of(ids: pa.Array) -> np.ndarray:
    """A hash of each id, by which documents of a sample are sorted: uint64 [n]."""
    return mix64_array(hash64(ids.cast(pa.string())) ^ U(hash_text("map")))
