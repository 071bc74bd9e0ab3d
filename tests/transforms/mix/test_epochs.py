"""Shares and epochs: UniMax's paper algorithm, budgets, caps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.transforms.mix.epochs import spread, tempered, uniform


def unimax(sizes: list[int], budget: float, cap: float) -> np.ndarray:
    """Algorithm 1 of Chung et al. 2023, as printed: characters a language is allotted."""
    order = sorted(range(len(sizes)), key=lambda i: sizes[i])
    allotted, left = [0.0] * len(sizes), budget
    for i, d in enumerate(order):
        per_language = left / (len(sizes) - i)
        allotted[d] = sizes[d] * cap if per_language > sizes[d] * cap else per_language
        left -= allotted[d]
    return np.array(allotted)


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=30), st.integers(1, 10**10), st.floats(0.1, 50))
def test_equal_shares_are_unimax(sizes, budget, cap):
    n = np.array(sizes)
    np.testing.assert_allclose(spread(n, uniform(n), budget, cap) * n, unimax(sizes, budget, cap), rtol=1e-9)


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.just(0.0) | st.floats(1e-3, 10)), min_size=1, max_size=20),
    st.integers(1, 10**7),
    st.floats(0.1, 10),
)
def test_no_epoch_above_the_cap_and_the_budget_is_spent_where_it_can_be(domains, budget, cap):
    n, p = np.array([d[0] for d in domains]), np.array([d[1] for d in domains])
    epochs = spread(n, p, budget, cap)
    assert (epochs >= 0).all()
    assert (epochs <= cap * (1 + 1e-12)).all()
    assert not epochs[(n == 0) | (p == 0)].any()
    able = float(n[p > 0].sum()) * cap
    np.testing.assert_allclose((epochs * n).sum(), min(budget, able), rtol=1e-9, atol=1e-9)
    # domains below the cap stand to each other as asked
    free = (epochs > 0) & (epochs < cap * (1 - 1e-9)) & (p > 1e-6)
    ratio = (epochs * n)[free] / p[free]
    if len(ratio):
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)


def test_temperature_flattens_and_the_cap_bounds():
    n = np.array([1_000, 100_000])
    assert tempered(n, 1.0) == pytest.approx([1 / 101, 100 / 101])
    assert tempered(n, 2.0) == pytest.approx([1 / 11, 10 / 11])
    assert tempered(n, 1000.0) == pytest.approx([0.5, 0.5], abs=2e-3)
    assert tempered(n, 1.0, cap=1_000) == pytest.approx([0.5, 0.5])
    assert tempered(np.array([0, 5]), 2.0) == pytest.approx([0, 1])
    assert not tempered(np.array([0, 0]), 2.0).any()
    assert not uniform(np.zeros(2)).any()
