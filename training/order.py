"""Which row comes when: a pure function of (seed, position), for any number of processes.

Training reads positions 0, 1, 2, ...: step s of G rows takes positions sG ... sG + G - 1, and each process a slice of
them, so a change of world size or of accumulation keeps the order of samples. Nothing is stored but the step.
"""

from __future__ import annotations

import numpy as np

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.hashing import hash_text, mix64_array
from corpusmill.transforms.random import draw_array

BLOCK = 4096


def permute(index: np.ndarray, size: int, keys: np.ndarray) -> np.ndarray:
    """Where a keyed permutation of 0 ... size - 1 sends each index: int64 [n]; keys uint64, one an index or one for all.

    A Feistel network of 6 rounds on the smallest even number of bits that holds `size` (Luby and Rackoff 1988), repeated
    until the result is below `size` (cycle walking, Black and Rogaway 2002): under 4 passes expected, no table.

    >>> sorted(permute(np.arange(5), 5, np.array([7], np.uint64)).tolist())
    [0, 1, 2, 3, 4]
    """
    half = np.uint64(max(1, (max(size - 1, 1).bit_length() + 1) // 2))
    low = np.uint64((1 << int(half)) - 1)
    rounds = [np.broadcast_to(draw_array(keys, r), index.shape) for r in range(6)]
    out = index.astype(np.uint64)
    todo = np.arange(len(out))
    while len(todo):
        left, right = out[todo] >> half, out[todo] & low
        for key in rounds:
            left, right = right, left ^ (mix64_array(right ^ key[todo]) & low)
        out[todo] = (left << half) | right
        todo = todo[out[todo] >= size]
    return out.astype(np.int64)


class Order:
    """The order of rows from one or several groups.

    groups: int64 arrays of row numbers; shares: how much of the training each group gets (None: as its size).
    Every block of 4,096 positions holds the shares to within one row; a group that runs out starts its next epoch, which
    has a permutation of its own.

    >>> order = Order([np.arange(6)], None, seed=1)
    >>> sorted(order.rows(np.arange(6))[0].tolist())
    [0, 1, 2, 3, 4, 5]
    """

    def __init__(self, groups: list[np.ndarray], shares: list[float] | None, seed: int) -> None:
        self.groups, self.seed = groups, seed
        if not groups or any(len(group) == 0 for group in groups):
            raise RecipeError("data: there are no rows to train on; look at the counts of the packing step.")
        if shares is None or len(groups) == 1:
            self.groups, self.ends = [np.concatenate(groups)], np.ones(1)
            return
        weights = np.array(shares, np.float64)
        if (weights <= 0).any() or (weights / weights.sum() * BLOCK < 1).any():
            raise RecipeError(f"data.weights: each share must be above 0 and at least 1/{BLOCK} of the whole.")
        self.ends = np.cumsum(weights / weights.sum())
        self.ends[-1] = 1.0

    def _key(self, *parts: object) -> np.uint64:
        return np.uint64(hash_text("\0".join(map(str, (self.seed, "order", *parts)))))

    def _counts(self, block: int) -> np.ndarray:
        """Rows of each group in the blocks before `block`: int64 [groups]; their sum is block * BLOCK."""
        ends = np.floor(block * BLOCK * self.ends + 1e-9).astype(np.int64)
        return np.diff(ends, prepend=0)

    def rows(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(row numbers, epochs of their group): int64 [n] each, of int64 positions [n]."""
        if len(self.groups) == 1:
            return self._within(0, positions)
        rows, epochs = np.empty_like(positions), np.empty_like(positions)
        for block in np.unique(positions // BLOCK):
            here = np.flatnonzero(positions // BLOCK == block)
            before = self._counts(int(block))
            starts = np.concatenate(([0], np.cumsum(self._counts(int(block) + 1) - before)))
            slot = permute(positions[here] % BLOCK, BLOCK, np.array([self._key("block", block)]))
            group = np.searchsorted(starts, slot, side="right") - 1
            for g in np.unique(group):
                mine = here[group == g]
                rows[mine], epochs[mine] = self._within(g, before[g] + slot[group == g] - starts[g])
        return rows, epochs

    def _within(self, group: int, number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row and epoch of the `number`-th rows asked of a group."""
        members = self.groups[group]
        epochs, index = np.divmod(number, len(members))
        out = np.empty_like(number)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            out[here] = members[permute(index[here], len(members), np.array([self._key(group, epoch)]))]
        return out, epochs
