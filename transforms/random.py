"""Random draws that depend only on (recipe seed, step name, document id, counter).

A counter-based generator (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): draw number c of a document
is `mix64(key ^ mix64(c + 1))`, so a document gets the same draws in any shard, worker, order and retry, and the draws of
two documents, steps, epochs or seeds are independent.

Kernels take the keys (uint64 [n]) and call `draw`, `uniform` and `below` with a counter of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.transforms.hashing import GOLDEN, U, hash64, hash_text, mix64, mix64_array
from corpusmill.transforms.kernels.njit import njit

_MASK = (1 << 64) - 1
EPOCH = "epoch"
"""Column int32 of documents that were repeated: 0, 1, ... for each repeat of one id."""


@njit(inline="always")
def draw(key: Any, counter: int) -> Any:
    """Draw number `counter` of the stream `key`: uint64."""
    return mix64(key ^ mix64((U(counter) + U(1)) * GOLDEN))


@njit(inline="always")
def uniform(key: Any, counter: int) -> float:
    """Draw number `counter` as a float64 in [0, 1)."""
    return float(draw(key, counter) >> U(11)) * (1.0 / 9007199254740992.0)


@njit(inline="always")
def below(key: Any, counter: int, n: int) -> Any:
    """Draw number `counter` as an integer in [0, n); the bias is below n / 2^32 for n < 2^32."""
    return np.int64(((draw(key, counter) >> U(32)) * U(n)) >> U(32))


def draw_array(keys: np.ndarray, counter: int = 0) -> np.ndarray:
    """`draw` over an array of keys: uint64 [n]."""
    with np.errstate(over="ignore"):
        c = mix64_array(np.array([(counter + 1) & _MASK], np.uint64) * GOLDEN)
    return mix64_array(keys ^ c)


def uniform_array(keys: np.ndarray, counter: int = 0) -> np.ndarray:
    """`uniform` over an array of keys: float64 [n]."""
    return (draw_array(keys, counter) >> U(11)).astype(np.float64) * (1.0 / 9007199254740992.0)


def at_epochs(keys: np.ndarray, epochs: pa.Array) -> np.ndarray:
    """`keys` with a stream of its own for each repeat, which has an epoch above 0."""
    number = epochs.fill_null(0).to_numpy(zero_copy_only=False)
    later = number > 0
    if not later.any():
        return keys
    with np.errstate(over="ignore"):
        return np.where(later, mix64_array(keys + mix64_array(number.astype(np.uint64) * GOLDEN)), keys)


@dataclass(frozen=True)
class Keyed:
    """A source of random keys for one step: (recipe seed, step name, epoch).

    >>> Keyed(seed=1, step="noise").key("doc-1") == Keyed(seed=1, step="noise").key("doc-1")
    True
    """

    seed: int = 0
    step: str = ""
    epoch: int = 0

    @property
    def base(self) -> int:
        """The stream that all documents of this step share: uint64."""
        return hash_text(f"{self.seed}\0{self.step}\0{self.epoch}")

    def keys(self, ids: pa.Array | pa.RecordBatch) -> np.ndarray:
        """One key a document, uint64 [n], from its id (a string array, or a batch with a column `id`).

        If a batch has the int32 column `epoch`, repeats get keys of their own; epoch 0 and null change nothing.
        """
        if isinstance(ids, pa.RecordBatch):
            keys = self.keys(ids.column("id"))
            i = ids.schema.get_field_index(EPOCH)
            return keys if i < 0 or ids.schema.field(i).type != pa.int32() else at_epochs(keys, ids.column(i))
        return mix64_array(hash64(ids) ^ U(self.base))

    def key(self, document_id: str) -> int:
        """The key of one document, equal to its entry in `keys`."""
        return int(self.keys(pa.array([document_id]))[0])

    def at(self, epoch: int) -> Keyed:
        """The same step in another epoch."""
        return replace(self, epoch=epoch)
