"""Word vectors and two levels of clusters of a sample of texts: what `corpusmill map` and `expect.diversity` look at."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from corpusmill.transforms.embed.hierarchy import two_levels
from corpusmill.transforms.embed.kmeans import nearest
from corpusmill.transforms.embed.vectors import WordVectors, train

DIMS, SEED = 256, 1
LEARNED = 16_384
"""Documents that vectors and clusters are learned from, at most."""
PER_TOPIC = 24
"""Documents of a cluster, on average, below which a small corpus gets fewer clusters."""
SAMPLE, CLUSTERS = 50_000, 128
"""Documents that are looked at, and clusters that are learned, unless asked otherwise."""


@dataclass(frozen=True)
class TopicModel:
    """words: their vectors; centres: int8 [k, d] of the finest clusters; groups: int32 [k], the coarse cluster of each."""

    words: WordVectors
    centres: np.ndarray
    groups: np.ndarray

    def place(self, texts: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(vectors int8 [n, d], fine cluster int64 [n], -1 for a text without words, cosine with its centre float64 [n])."""
        vectors = self.words.embed(texts)
        if not len(self.centres):
            return vectors, np.full(len(texts), -1, np.int64), np.zeros(len(texts))
        which, cosine = nearest(vectors, self.centres)
        used = np.asarray(vectors.any(axis=1))
        return vectors, np.where(used, which[:, 0], -1).astype(np.int64), np.where(used, cosine[:, 0], 0.0)


def learn_topics(texts: pa.Array, order: np.ndarray, clusters: int) -> TopicModel:
    """Learn from all texts; `order`, uint64 [n], follows from their ids. There are about `clusters` fine clusters."""
    words = train(texts, DIMS)
    fine = max(1, min(clusters, len(texts) // PER_TOPIC))
    centres, groups = two_levels(words.embed(texts), order, max(1, round(math.sqrt(fine))), fine, SEED)
    return TopicModel(words, centres, groups)
