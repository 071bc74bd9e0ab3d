"""Computes how often each domain of a corpus is read, from its size and asked share.

A **share** is the part of the mixture that a domain should be; an **epoch** is one pass over it. Domain d of size n_d with
share p_d of a budget B is read e_d = B p_d / n_d times, at most `max_epochs`; what a capped domain leaves over goes to the
others in proportion to their shares.
"""

from __future__ import annotations

import numpy as np


def tempered(sizes: np.ndarray, temperature: float, cap: float | None = None) -> np.ndarray:
    """Shares float64 [d] in proportion to min(n, cap)^(1/T): natural at T = 1, equal as T grows.

    Source: Devlin 2018 (multilingual BERT, T = 1/0.7); Raffel et al. 2020 (T5), section 3.5.2, with the cap.

    >>> tempered(np.array([100, 10_000]), 2.0).round(3)
    array([0.091, 0.909])
    """
    n = np.asarray(sizes, np.float64)
    r = np.where(n > 0, np.power(n if cap is None else np.minimum(n, cap), 1.0 / temperature), 0.0)
    return r / max(r.sum(), np.finfo(np.float64).tiny)


def uniform(sizes: np.ndarray) -> np.ndarray:
    """Equal shares float64 [d] of every domain that has a size."""
    has = (np.asarray(sizes) > 0).astype(np.float64)
    return has / max(1.0, has.sum())


def spread(sizes: np.ndarray, shares: np.ndarray, budget: float, max_epochs: float) -> np.ndarray:
    """Expected epochs float64 [d] of domains of `sizes` with `shares` of `budget`, none above `max_epochs`.

    Source: Chung et al. 2023 ("UniMax"), algorithm 1, which is this with equal shares: domains are served in the order in
    which they reach the cap, each with its part of what is left, or with all it may give. With a budget beyond
    `max_epochs` times all sizes, every domain is at its cap and the budget is not reached.

    >>> spread(np.array([10, 90]), np.array([0.5, 0.5]), 100, 4)
    array([4.        , 0.66666667])
    """
    n, p = np.asarray(sizes, np.float64), np.asarray(shares, np.float64)
    epochs = np.zeros(len(n))
    asked = np.flatnonzero((n > 0) & (p > 0))
    order = asked[np.argsort(-p[asked] / n[asked], kind="stable")]
    left, weight = float(budget), float(p[order].sum())
    for d in order:
        take = min(n[d] * max_epochs, left * p[d] / weight) if weight > 0 else 0.0
        epochs[d] = take / n[d]
        left, weight = left - take, weight - p[d]
    return epochs
