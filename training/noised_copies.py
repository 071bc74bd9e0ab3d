"""Rows several times over, each copy with other random tokens in it: more contexts for a teacher than the data has.

A teacher says of each copy what follows its noised tokens. A student of all of it learns the teacher's function away from the few
rows that there are, and the noise contradicts nothing: the teacher reads what the student reads. With few data this closes most of
the distance between an ensemble and its student (docs/benchmarks/multiplier.md).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from corpusmill.transforms.hashing import GOLDEN, hash_text, mix64_array

if TYPE_CHECKING:
    from corpusmill.training.data import Rows
    from corpusmill.training.objectives import Batch


def row_keys(batch: Batch, seed: int, what: str = "teacher") -> np.ndarray:
    """One stream a row, uint64 [n], from its tokens and their segments."""
    keys = np.full(len(batch["input_ids"]), hash_text(f"{what}\0{seed}"), np.uint64)
    segments = batch.get("segment_ids")
    with np.errstate(over="ignore"):
        for t in range(batch["input_ids"].shape[1]):
            token = batch["input_ids"][:, t].astype(np.uint64)
            if segments is not None:
                token = token + (segments[:, t].astype(np.uint64) << np.uint64(32))
            keys = mix64_array(keys * GOLDEN + token)
    return keys


def replaced(batch: Batch, keys: np.ndarray, noise: float, size: int) -> np.ndarray:
    """`input_ids` with a share `noise` of the tokens replaced by ids below `size`, all alike: int64 [n, T]. Padding stays."""
    ids = batch["input_ids"]
    places = mix64_array(np.arange(1, ids.shape[1] + 1, dtype=np.uint64))
    bits = mix64_array(mix64_array(keys ^ np.uint64(0x6E6F697365))[:, None] ^ places[None, :])
    drawn = (bits >> np.uint64(40)).astype(np.float64) / (1 << 24) < noise
    drawn &= batch.get("segment_ids", np.ones_like(ids)) != 0
    other = (bits & np.uint64(0xFFFFFFFF)).astype(np.int64) % size
    return np.where(drawn, other, ids)


class NoisedCopies:
    """`copies` of all rows, one copy after the other; implements `corpusmill.training.data.Rows`.

    noise: share of the tokens that are replaced. size: number of token ids. The noise of a row is a function of the seed, the copy
    and the row's tokens, so neither the order of rows nor the sharding changes it. Labels are the tokens before the noise.
    """

    def __init__(self, data: Rows, copies: int, noise: float, size: int, seed: int) -> None:
        self.data, self.copies, self.noise, self.size, self.seed = data, copies, noise, size, seed
        self.sources, self.source_of = data.sources, np.tile(data.source_of, copies)
        self.length = getattr(data, "length", 0)
        self.tokenizer_digest = getattr(data, "tokenizer_digest", "")
        about = f"{data.digest}\0{copies}\0{noise!r}\0{size}\0{seed}"
        self.digest = hashlib.sha256(about.encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.data) * self.copies

    def rows(self, index: np.ndarray) -> Batch:
        """The columns of rows `index`, with `labels`."""
        copy, row = np.divmod(np.asarray(index, np.int64), len(self.data))
        batch = self.data.rows(row)
        keys = row_keys(batch, self.seed, "copies") ^ mix64_array(copy.astype(np.uint64) + np.uint64(1))
        labels = {"labels": batch["input_ids"]} | {n: c for n, c in batch.items() if n == "labels"}
        return batch | labels | {"input_ids": replaced(batch, keys, self.noise, self.size)}
