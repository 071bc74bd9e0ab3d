"""Weights from proxy runs, on surfaces whose minimum is known."""

import numpy as np
import pytest

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.mix.learn import fit, propose


def surface(x: np.ndarray, best: np.ndarray, curve: np.ndarray) -> np.ndarray:
    return 3.0 + ((x - best) ** 2 * curve).sum(axis=1)


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_the_minimum_of_a_known_surface_is_found(noise):
    best, curve = np.array([0.5, 0.3, 0.15, 0.05]), np.array([1.0, 3.0, 2.0, 4.0])
    runs = propose(np.full(4, 0.25), 64, seed=3)
    losses = surface(runs, best, curve) + noise * np.random.default_rng(0).standard_normal(len(runs))
    found = fit(runs, losses)
    assert found.weights == pytest.approx(best, abs=0.03 if not noise else 0.08)
    # better than the natural mixture and than the best run
    reached = surface(found.weights[None], best, curve)[0]
    assert reached < min(surface(np.full((1, 4), 0.25), best, curve)[0], surface(runs, best, curve).min() + 1e-3)
    assert found.error < 0.3 * found.baseline
    assert found.loss == pytest.approx(3.0, abs=0.05)


def test_losses_without_a_pattern_are_seen_to_teach_nothing():
    runs = propose(np.full(3, 1 / 3), 60, seed=1)
    found = fit(runs, np.random.default_rng(5).standard_normal(60))
    assert found.error > 0.9 * found.baseline


def test_equal_seeds_give_equal_weights_and_scale_does_not_matter():
    runs = propose(np.array([0.6, 0.3, 0.1]), 30, seed=2)
    losses = surface(runs, np.array([0.2, 0.5, 0.3]), np.ones(3))
    a, b = fit(runs, losses, seed=4), fit(10 * runs, losses, seed=4)
    np.testing.assert_allclose(a.weights, b.weights, atol=1e-9)
    assert (propose(np.array([0.6, 0.3, 0.1]), 30, seed=2) == runs).all()


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(RecipeError, match="at least 5"):
        fit(np.eye(3), np.ones(3))
    with pytest.raises(RecipeError, match="finite losses"):
        fit(np.tile(np.eye(3), (3, 1)), np.full(9, np.nan))
    with pytest.raises(RecipeError, match="rows of shares"):
        fit(-np.ones((9, 3)), np.ones(9))
