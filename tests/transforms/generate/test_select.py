"""Selection by rank within classes, and the gate."""

from __future__ import annotations

import numpy as np
import pytest

from corpusmill.transforms.generate.select import balanced, class_ranks, gate


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


def test_gate_wants_a_gain_that_shows() -> None:
    before = np.array([True] * 50 + [False] * 50)
    assert gate(before, np.array([True] * 70 + [False] * 30)).kept
    assert not gate(before, before).kept
    noisy = before.copy()
    noisy[:11], noisy[50:62] = False, True
    found = gate(before, noisy)
    assert found.difference == pytest.approx(0.01)
    assert not found.kept
    assert "standard errors" in found.because
    assert "-0.5000" in gate(before, np.zeros(100, bool)).because
