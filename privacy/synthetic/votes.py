"""Private votes: how many units lie nearest to each candidate, with noise.

Each unit has one vote, which its rows share: a row gives its part to the candidate of its label with the largest cosine. So a unit
moves the histogram by at most 1 in the Euclidean norm, and noise of deviation sigma makes a round one event `gaussian` of sigma
(Lin et al. 2024, "Differentially private synthetic data via foundation model APIs 1", there for rows instead of units).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpusmill.privacy.secret import VOTE, Secret
from corpusmill.privacy.units import Units

BLOCK = 4096
"""Rows that are compared at once."""


@dataclass(frozen=True)
class Voters:
    """Private rows. vectors: [n, d] of their texts, labels: int64 [n], -1 for none of the known; units: whose they are."""

    vectors: np.ndarray
    labels: np.ndarray
    units: Units


def tally(voters: Voters, vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Exact, so private, votes for each candidate: float64 [m]. vectors: [m, d], labels: int64 [m] of the candidates.

    A row whose label no candidate has, or whose text has no vector, does not vote.
    """
    shares = (1.0 / voters.units.sizes)[voters.units.number]
    votes = np.zeros(len(labels))
    for label in np.unique(labels):
        candidates, rows = np.flatnonzero(labels == label), np.flatnonzero(voters.labels == label)
        directions = _normal(vectors[candidates])
        for begin in range(0, len(rows), BLOCK):
            some = rows[begin : begin + BLOCK]
            cosines = _normal(voters.vectors[some]) @ directions.T
            known = voters.vectors[some].any(axis=1)
            nearest = candidates[cosines.argmax(axis=1)]
            votes += np.bincount(nearest[known], weights=shares[some[known]], minlength=len(votes))
    return votes


def noisy(votes: np.ndarray, sigma: float, secret: Secret, round_: int) -> np.ndarray:
    """Votes that may be looked at: with noise of the run's secret, which is drawn again for the same round only."""
    return votes + sigma * secret.normal(round_, len(votes), purpose=VOTE)


def _normal(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1, float32; zeros stay."""
    wide = vectors.astype(np.float32)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-9))
