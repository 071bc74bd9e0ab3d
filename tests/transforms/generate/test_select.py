"""Selection by rank within classes, and the gate."""

from __future__ import annotations

import numpy as np
import pytest

from corpusmill.transforms.generate.select import balanced, class_ranks, decide


def test_balanced_takes_equally_many_and_does_not_depend_on_order() -> None:
    rng = np.random.default_rng(2)
    classes, confidence = rng.choice(4, 1000, p=[0.7, 0.1, 0.1, 0.1]), rng.random(1000).round(1)
    order = rng.integers(0, 1 << 60, 1000).astype(np.uint64)
    chosen = balanced(classes, confidence, order, 0.2, 4)
    assert np.bincount(classes[chosen]).tolist() == [50] * 4
    mixed = rng.permutation(1000)
    again = balanced(classes[mixed], confidence[mixed], order[mixed], 0.2, 4)
    assert set(mixed[again].tolist()) == set(chosen.tolist())
    assert len(balanced(classes[:0], confidence[:0], order[:0], 0.2, 4)) == 0
    assert class_ranks(np.array([1, 0, 1]), np.array([0.1, 0.2, 0.3]), np.arange(3)).tolist() == [1, 0, 0]


def test_the_gate_wants_a_gain_that_shows() -> None:
    before = np.array([True] * 50 + [False] * 50)
    assert decide(before, np.array([[True] * 70 + [False] * 30])).kept
    assert not decide(before, before[None]).kept
    noisy = before.copy()
    noisy[:11], noisy[50:62] = False, True
    found = decide(before, noisy[None])
    assert found.difference == pytest.approx(0.01)
    assert not found.kept
    assert "not below the level" in found.because
    assert "-0.5000" in decide(before, np.zeros((1, 100), bool)).because
    assert not decide(before, np.zeros((0, 100), bool)).kept


def test_the_level_holds_over_many_students() -> None:
    """Twelve students that are no better, on 40 documents: at most 10 % of 200 runs keep one; asked one by one, many would."""
    kept = alone = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        before = rng.random(40) < 0.6
        flips = rng.random((12, 40)) < 0.25
        after = np.where(flips, rng.random((12, 40)) < 0.5, before)
        kept += decide(before, after, level=0.1, seed=seed).kept
        d = after.astype(float) - before
        alone += bool((d.mean(1) >= d.std(1, ddof=1) / np.sqrt(40)).any() and d.mean(1).max() > 0)
    assert kept <= 27  # 20 are expected; more than 27 come in one of 20 campaigns
    assert alone > 100


def test_harm_is_the_chance_that_the_student_is_worse() -> None:
    before = np.array([True] * 10 + [False] * 10)
    better = np.array([True] * 9 + [False] + [True] * 4 + [False] * 6)
    found = decide(before, better[None])
    assert found.harm == pytest.approx(0.109, abs=1e-3)  # of Beta(5, 2): (1 + 6) / 64
