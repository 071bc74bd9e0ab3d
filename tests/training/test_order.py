"""The order of rows: a permutation each epoch, exact shares in each block, the same for every world size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.training.data import Loader
from corpusmill.training.objectives import Causal
from corpusmill.training.order import BLOCK, Order, permute
from corpusmill.transforms.errors import RecipeError


@given(st.integers(1, 3000), st.integers(0, 2**64 - 1))
@settings(max_examples=60, deadline=None)
def test_permutation(size: int, key: int) -> None:
    out = permute(np.arange(size), size, np.array([key], np.uint64))
    assert np.array_equal(np.sort(out), np.arange(size))


def test_golden() -> None:
    """The order is part of what a checkpoint means: a change of it is a change of every resumed run."""
    assert Order([np.arange(10)], None, seed=1).rows(np.arange(10))[0].tolist() == [5, 7, 4, 3, 6, 8, 9, 1, 2, 0]


def test_permutations_are_even() -> None:
    """Each of 5 rows comes at each of 5 places equally often over 4,000 keys (chi-square, 16 degrees, p > 1e-4)."""
    tries = 4000
    table = np.zeros((5, 5))
    for seed in range(tries):
        table[np.arange(5), permute(np.arange(5), 5, np.array([seed], np.uint64))] += 1
    assert ((table - tries / 5) ** 2 / (tries / 5)).sum() < 46


def test_every_epoch_has_every_row_once_in_another_order() -> None:
    order = Order([np.arange(100)], None, seed=3)
    rows, epochs = order.rows(np.arange(300))
    assert epochs.tolist() == [e for e in range(3) for _ in range(100)]
    parts = rows.reshape(3, 100)
    assert all(np.array_equal(np.sort(p), np.arange(100)) for p in parts)
    assert not np.array_equal(parts[0], parts[1])
    assert (np.diff(parts[0]) == 1).mean() < 0.1


def test_shares_hold_in_every_block() -> None:
    groups = [np.arange(500), np.arange(500, 510), np.arange(510, 2000)]
    order = Order(groups, [0.5, 0.2, 0.3], seed=1)
    rows, epochs = order.rows(np.arange(3 * BLOCK))
    group = np.searchsorted([500, 510], rows, side="right")
    for block in group.reshape(3, BLOCK):
        assert np.abs(np.bincount(block) / BLOCK - [0.5, 0.2, 0.3]).max() < 2 / BLOCK
    for g, members in enumerate(groups):  # each epoch of a group is complete before the next begins
        full = (group == g).sum() // len(members)
        counts = np.bincount(rows[(group == g) & (epochs < full)], minlength=2000)[members]
        assert (counts == full).all()
    some = np.random.default_rng(0).permutation(3 * BLOCK)[:777]
    assert np.array_equal(order.rows(some)[0], rows[some])


@pytest.mark.parametrize("shares", [[0.5, 0.0], [1.0, 1e-9], [1.0, -1.0]])
def test_bad_shares(shares: list[float]) -> None:
    with pytest.raises(RecipeError, match="share"):
        Order([np.arange(3), np.arange(3)], shares, seed=1)
    with pytest.raises(RecipeError, match="no rows"):
        Order([np.arange(0)], None, seed=1)


class Numbers:
    """Rows that hold their own number."""

    digest, sources, source_of = "", [""], np.zeros(50, np.int32)

    def __len__(self) -> int:
        return 50

    def rows(self, index: np.ndarray) -> dict[str, np.ndarray]:
        return {"input_ids": np.repeat(index[:, None], 4, 1), "segment_ids": np.ones((len(index), 4), np.int64)}


def test_world_size_and_accumulation_keep_the_order() -> None:
    def seen(world: int, micro: int) -> list[int]:
        loaders = [
            Loader(Numbers(), Causal(), Order([np.arange(50)], None, 1), 8, micro, r, world) for r in range(world)
        ]
        return [int(b) for s in range(9) for x in loaders for batch in x.step(s) for b in batch["input_ids"][:, 0]]

    expected = seen(1, 0)
    assert sorted(expected[:50]) == list(range(50))
    assert seen(2, 0) == seen(4, 1) == seen(1, 3) == expected
    loader = Loader(Numbers(), Causal(), Order([np.arange(50)], None, 1), 8, 0)
    assert loader.state(7) == {"epoch": 1, "step": 7}
    ahead = [b["input_ids"][:, 0].tolist() for step in loader.steps(3, 6) for b in step]
    assert ahead == [expected[i * 8 : i * 8 + 8] for i in range(3, 6)]
    with pytest.raises(RecipeError, match="multiple of 3"):
        Loader(Numbers(), Causal(), Order([np.arange(50)], None, 1), 8, 0, 0, 3)
