"""Documents of a pool that fill what a reference has and a corpus lacks.

Topics are clusters of the reference: word vectors and centres are learned from it alone, so they follow from its file. Of cluster c
let r_c be its share of the reference, n_c what the corpus has of it, a_c what the pool has, and N the sum of all the corpus has.

    taken of c = min(a_c, max(0, t r_c - n_c)),    t = N, or with a budget the t for which the sum is the budget

So the most lacking topics come first, and no topic gets more than its share. A document of the pool counts as one of a cluster
if it is at least as near to its centre as FLOOR of the reference's own documents are; others are of no topic of the reference.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.transforms.decontaminate.evaluation import read_items
from corpusmill.transforms.embed.learned import HEAD
from corpusmill.transforms.embed.topics import LEARNED, TopicModel, learn_topics
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.hashing import hash64, mix64_array

CLUSTERS = 128
FLOOR = 0.05
"""The part of a cluster's own documents that are farther from its centre than what counts as being of it."""
EXAMPLE = 80
"""Characters of the document that stands for a cluster."""
TABLE = pa.schema(
    {
        "cluster": pa.int32(),
        "example": pa.string(),
        "reference_share": pa.float64(),
        "have": pa.int64(),
        "available": pa.int64(),
        "selected": pa.int64(),
    }
)


@dataclass(frozen=True)
class Reference:
    """model: what was learned; shares: float64 [k], of the reference's documents in each cluster; floors: float64 [k], the least
    cosine of a document of it; examples: the beginning of the document nearest to each centre."""

    model: TopicModel
    shares: np.ndarray
    floors: np.ndarray
    examples: list[str]

    def place(self, texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """(cluster int64 [n], -1 for none; cosine float64 [n]) of each text."""
        _, which, cosine = self.model.place(pc.utf8_slice_codeunits(texts.fill_null(""), 0, HEAD))
        return np.where((which >= 0) & (cosine >= self.floors[which]), which, -1), cosine


@functools.lru_cache(4)
def reference(path: str, digest: str, columns: tuple[str, ...]) -> Reference:
    """The topics of a file; `digest` keeps a changed file from being taken for the one that was read before.

    Raises:
        RecipeError: its texts have no words.
    """
    every = pa.concat_arrays([texts.fill_null("") for texts in read_items(path, columns).texts])
    heads = pc.utf8_slice_codeunits(every, 0, HEAD)
    order = mix64_array(hash64(heads))
    heads = heads.take(pa.array(np.argsort(order, kind="stable")))
    learned = heads.slice(0, LEARNED)
    model = learn_topics(learned, np.sort(order)[:LEARNED], CLUSTERS)
    k = len(model.centres)
    if not k:
        raise RecipeError(f"select.like: {path} has no words; name another file, or the `columns` of its text")
    _, which, cosine = model.place(heads)
    counts = np.bincount(which[which >= 0], minlength=k)
    floors, examples = np.ones(k), [""] * k
    for c in np.flatnonzero(counts).tolist():
        mine = np.flatnonzero(which == c)
        floors[c] = np.quantile(cosine[mine], FLOOR, method="lower")
        nearest = int(mine[np.argmax(cosine[mine])])
        examples[c] = " ".join(heads[nearest].as_py().split())[:EXAMPLE]
    return Reference(model, counts / max(1, counts.sum()), floors, examples)


def apportion(shares: np.ndarray, have: np.ndarray, available: np.ndarray, budget: float | None) -> np.ndarray:
    """How much is taken of each cluster: float64 [k], at most `available` and, with a budget, together about that.

    >>> apportion(np.array([0.5, 0.25, 0.25]), np.array([80, 20, 0]), np.array([100, 100, 100]), None).tolist()
    [0.0, 5.0, 25.0]
    """

    def taken(level: float) -> np.ndarray:
        found: np.ndarray = np.minimum(available, np.maximum(0.0, level * shares - have))
        return found

    if budget is None:
        return taken(float(have.sum()))
    low, high = 0.0, float(have.sum() + available.sum()) / max(float(shares[shares > 0].min()), 1e-12)
    for _ in range(100):
        middle = (low + high) / 2
        if taken(middle).sum() > budget:
            high = middle
        else:
            low = middle
    return taken(low)
