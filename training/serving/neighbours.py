"""Spreads labels between similar texts: a teacher's labels for a text are mixed with those for its neighbours.

    S = D^-1/2 A D^-1/2,   A: cosines of f (see `corpusmill.training.serving.linear`) between each text and its nearest ones,
    made symmetric F <- a S F + (1 - a) Y,   from F = Y: the given labels and the teacher's shares (Zhou et al. 2004)

A text whose neighbours agree on a class gets that class, even if the teacher disagrees. So labels follow clusters,
while a linear boundary from a few labels may cut through them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from corpusmill.training.serving.linear import features, matrix, rarities

NEAREST, ROUNDS, STRIPE = 10, 10, 512


class Neighbours:
    """The graph S of some texts. Time grows with the square of their number: seconds for 10,000 short ones.

    >>> graph = Neighbours(["send money", "send cash", "much rain", "no rain"])
    >>> said = np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0], [0.5, 0.5]])
    >>> graph.spread(said, 0.8).argmax(axis=1).tolist()
    [0, 0, 1, 1]
    """

    def __init__(self, texts: Sequence[str], nearest: int = NEAREST) -> None:
        given = features(texts)
        x = matrix(given, *rarities(given))[:, :-1].tocsr()
        self.graph = _symmetric(x, nearest)

    def spread(self, shares: np.ndarray, weight: float) -> np.ndarray:
        """F after ROUNDS steps, rows brought to sum 1: float64 [n, classes]. weight: a, that of the neighbours."""
        spread = shares
        for _ in range(ROUNDS):
            spread = weight * (self.graph @ spread) + (1.0 - weight) * shares
        return np.asarray(spread / spread.sum(axis=1, keepdims=True))


def _symmetric(x: Any, nearest: int) -> Any:
    """S as a sparse matrix. Of equal cosines the text that comes first is the nearer."""
    from scipy.sparse import csr_matrix, diags  # type: ignore[import-untyped]

    n = x.shape[0]
    nearest = max(0, min(nearest, n - 1))
    turned = x.T.tocsr()
    places, values = np.zeros((n, nearest), np.int64), np.zeros((n, nearest))
    for i in range(0, n, STRIPE):
        cosines = (x[i : i + STRIPE] @ turned).toarray()
        rows = np.arange(len(cosines))
        cosines[rows, i + rows] = -1.0
        # the k-th largest and all above it, ties in order of place: partition alone would choose among them at will
        least = -np.partition(-cosines, nearest - 1, axis=1)[:, nearest - 1 : nearest] if nearest else cosines[:, :0]
        for row in rows if nearest else []:
            above = np.flatnonzero(cosines[row] >= least[row])
            best = above[np.argsort(-cosines[row][above], kind="stable")[:nearest]]
            places[i + row], values[i + row] = best, np.maximum(cosines[row][best], 0.0)
    graph = csr_matrix((values.ravel(), (np.repeat(np.arange(n), nearest), places.ravel())), shape=(n, n))
    graph = graph.maximum(graph.T)
    degree = np.asarray(graph.sum(axis=1)).ravel()
    root = diags(np.divide(1.0, np.sqrt(degree), out=np.zeros(n), where=degree > 0))
    return (root @ graph @ root).tocsr()
