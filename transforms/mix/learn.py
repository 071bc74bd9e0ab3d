"""Learns mixture weights from proxy runs: small models on many mixtures, a regression of their losses, its minimum.

Source: Liu et al. 2024 ("RegMix"), section 3: mixtures are drawn from a Dirichlet distribution around the natural one, a
small model is trained on each, a regression predicts the loss from the shares, and the answer is the mean of the best of
many simulated mixtures. Here the regression is a ridge over shares and their products (its strength chosen by
leave-one-out error), which needs no further library and is smooth between the runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpusmill.transforms.errors import RecipeError

_STRENGTHS = 10.0 ** np.arange(-8, 3)


@dataclass(frozen=True)
class Fit:
    """weights: float64 [d], sum 1; loss: predicted there; error: root mean square of the leave-one-out errors, in the unit
    of the losses; baseline: the same of a constant, so a fit with error near baseline has learnt nothing."""

    weights: np.ndarray
    loss: float
    error: float
    baseline: float


def propose(natural: np.ndarray, count: int, seed: int, spread: float = 1.0) -> np.ndarray:
    """Mixtures [count, d] for proxy runs: Dirichlet draws around the natural shares, near and far.

    spread: larger draws stray further from `natural`.

    >>> propose(np.array([0.7, 0.3]), 3, seed=1).sum(axis=1).round(6).tolist()
    [1.0, 1.0, 1.0]
    """
    p = _simplex(np.atleast_2d(natural))[0]
    rng = np.random.Generator(np.random.Philox(seed))
    concentration = np.exp(rng.uniform(np.log(0.5), np.log(5.0), count)) * len(p) / spread
    draws = np.stack([rng.dirichlet(np.maximum(p * c, 1e-3)) for c in concentration])
    return draws / draws.sum(axis=1, keepdims=True)


def fit(mixtures: np.ndarray, losses: np.ndarray, seed: int = 1, simulated: int = 100_000, best: int = 100) -> Fit:
    """Weights of least predicted loss, from mixtures float [m, d] of proxy runs and their losses float [m].

    The answer is the mean of the `best` of `simulated` mixtures, drawn where the runs were: far from every run the
    regression knows nothing. Several losses (one a domain) are averaged by the caller, as the aim demands.

    Raises:
        RecipeError: fewer than d + 2 runs, or figures that are no mixtures and losses.
    """
    x, y = _simplex(np.asarray(mixtures, np.float64)), np.asarray(losses, np.float64)
    m, d = x.shape
    if y.shape != (m,) or not np.isfinite(y).all():
        raise RecipeError(f"mixture weights: {m} mixtures need as many finite losses, got shape {y.shape}")
    if m < d + 2:
        raise RecipeError(
            f"mixture weights: {m} runs cannot tell {d} domains apart; give at least {d + 2}, better {10 * d}"
        )
    a = _features(x)
    scale = a.std(axis=0)
    scale[scale == 0] = 1.0
    mean, level = a.mean(axis=0), float(y.mean())
    a, r = (a - mean) / scale, y - level
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    errors = []
    for strength in _STRENGTHS * m:
        shrink = s**2 / (s**2 + strength)
        leverage = (u**2 * shrink).sum(axis=1) + 1 / m
        left_out = (r - u @ (shrink * (u.T @ r))) / np.maximum(1 - leverage, 1e-9)
        errors.append(float(np.sqrt((left_out**2).mean())))
    k = int(np.argmin(errors))
    strength = _STRENGTHS[k] * m
    slope = vt.T @ (s / (s**2 + strength) * (u.T @ r))

    def predict(points: np.ndarray) -> np.ndarray:
        return level + ((_features(points) - mean) / scale) @ slope

    points = _around(x, seed, simulated)
    weights = _best(points, predict(points), best)
    for reach in (0.5, 0.3, 0.2, 0.1, 0.05):  # once more, near the best so far
        near = (1 - reach) * weights + reach * points
        weights = _best(near, predict(near), best)
    baseline = float(np.sqrt(((r * m / (m - 1)) ** 2).mean()))
    return Fit(weights, float(predict(weights[None])[0]), errors[k], baseline)


def _best(points: np.ndarray, guess: np.ndarray, count: int) -> np.ndarray:
    chosen = points[np.argsort(guess, kind="stable")[: max(1, count)]].mean(axis=0)
    return chosen / chosen.sum()


def _features(x: np.ndarray) -> np.ndarray:
    """Shares, and products of every two: [m, d + d (d + 1) / 2]."""
    i, j = np.triu_indices(x.shape[1])
    return np.hstack([x, x[:, i] * x[:, j]])


def _around(x: np.ndarray, seed: int, count: int) -> np.ndarray:
    """Points of the simplex between the runs: convex combinations of 2 to d + 1 of them, float64 [count, d]."""
    rng = np.random.Generator(np.random.Philox(seed))
    m, d = x.shape
    several = min(m, d + 1)
    picked = rng.integers(0, m, (count, several))
    share = rng.dirichlet(np.full(several, 0.5), count)
    return np.einsum("ck,ckd->cd", share, x[picked])


def _simplex(x: np.ndarray) -> np.ndarray:
    if x.ndim != 2 or x.size == 0 or not np.isfinite(x).all() or (x < 0).any() or (x.sum(axis=1) <= 0).any():
        raise RecipeError("mixture weights: mixtures are rows of shares from 0, of which one at least is above 0")
    return x / x.sum(axis=1, keepdims=True)
