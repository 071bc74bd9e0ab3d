"""What a reference has and a corpus lacks, and the other way round.

    lack of cluster c = r log2(r / s),  r = (n_c + 1/2) / (n + k/2) in the reference, s = the same in the corpus

It is the cluster's part of the Kullback-Leibler divergence in bits: what is common there and rare here comes first. z is that of
two shares (Agresti 2013, section 3.2); |z| above the level of 0.05 over all clusters (Bonferroni) is marked as sure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np


@dataclass(frozen=True)
class Difference:
    """A cluster of which one side has more: documents of the samples, shares, z, whether it is sure, and its lack in bits."""

    cluster: int
    here: int
    there: int
    share_here: float
    share_there: float
    z: float
    sure: bool
    bits: float


def lacks(here: np.ndarray, there: np.ndarray) -> list[Difference]:
    """The clusters of which `there` has more than `here`, what is lacked most first.

    Args:
        here, there: int64 [k], documents of each cluster in a sample of either side.
    """
    k, n, m = len(here), int(here.sum()), int(there.sum())
    limit = NormalDist().inv_cdf(1 - 0.05 / max(1, 2 * k))
    found = []
    for c in range(k):
        a, b = int(here[c]), int(there[c])
        s, r = (a + 0.5) / (n + k / 2), (b + 0.5) / (m + k / 2)
        if r <= s or not n or not m:
            continue
        p = (a + b) / (n + m)
        z = (b / m - a / n) / math.sqrt(max(p * (1 - p), 1e-12) * (1 / n + 1 / m))
        found.append(Difference(c, a, b, a / n, b / m, z, z > limit, r * math.log2(r / s)))
    return sorted(found, key=lambda d: (-d.sure, -d.bits, d.cluster))


def distance(here: np.ndarray, there: np.ndarray) -> float:
    """The total variation of two samples over clusters: 0 for the same shares, 1 for none in common."""
    p, q = here / max(1, here.sum()), there / max(1, there.sum())
    return float(np.abs(p - q).sum() / 2)
