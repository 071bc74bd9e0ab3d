"""Topics that are learned from samples, and the cluster of each document."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.coverage.keywords import keywords
from corpusmill.pipelines.coverage.sample import Sample
from corpusmill.transforms.embed.cluster import names_of
from corpusmill.transforms.embed.hierarchy import two_levels
from corpusmill.transforms.embed.kmeans import nearest
from corpusmill.transforms.embed.vectors import WordVectors, train

DIMS, SEED = 256, 1
LEARNED = 16_384
"""Documents of each sample that vectors and clusters are learned from."""
EXAMPLES, SHOWN = 3, 300
"""Examples of a cluster, and the characters of each that are shown."""
PER_TOPIC = 24
"""Documents of a cluster, on average, below which a small corpus gets fewer clusters."""


@dataclass(frozen=True)
class Topics:
    """names, labels: of the fine clusters; coarse_labels: of the coarse ones; groups: int32 [k], the coarse cluster of each fine
    one; centres: int8 [k, d]."""

    words: WordVectors
    centres: np.ndarray
    groups: np.ndarray
    names: list[str]
    labels: list[str]
    coarse_labels: list[str]

    def place(self, sample: Sample) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(vectors int8 [n, d], fine cluster int64 [n], -1 for a text without words, cosine with its centre float64 [n])."""
        vectors = self.words.embed(sample.texts)
        if not len(self.centres):
            return vectors, np.full(len(sample), -1, np.int64), np.zeros(len(sample))
        which, cosine = nearest(vectors, self.centres)
        used = np.asarray(vectors.any(axis=1))
        return vectors, np.where(used, which[:, 0], -1).astype(np.int64), np.where(used, cosine[:, 0], 0.0)


def learn(samples: list[Sample], clusters: int) -> Topics:
    """Topics of one sample, or of a sample and that of its reference together, each with the same weight a document."""
    parts = [(s.texts.slice(0, LEARNED), s.order[:LEARNED]) for s in samples]
    texts = pa.concat_arrays([t for t, _ in parts])
    order = np.concatenate([o for _, o in parts])
    # documents of both samples count once
    _, first = np.unique(order, return_index=True)
    texts, order = texts.take(pa.array(first)), order[first]
    words = train(texts, DIMS)
    fine = max(1, min(clusters, len(texts) // PER_TOPIC))
    vectors = words.embed(texts)
    centres, groups = two_levels(vectors, order, max(1, round(math.sqrt(fine))), fine, SEED)
    which = np.full(len(texts), -1, np.int64)
    if len(centres):
        which = np.where(vectors.any(axis=1), nearest(vectors, centres)[0][:, 0], -1).astype(np.int64)
    listed = texts.to_pylist()
    labels = [" ".join(w) for w in keywords(listed, which, len(centres))]
    coarse = int(groups.max()) + 1 if len(groups) else 0
    above = np.where(which >= 0, np.append(groups, -1)[which], -1)
    coarse_labels = [" ".join(w) for w in keywords(listed, above, coarse)]
    return Topics(words, centres, groups, names_of(groups), labels, coarse_labels)


def examples(sample: Sample, which: np.ndarray, cosine: np.ndarray, cluster: int) -> list[dict[str, str]]:
    """The documents nearest to the centre of a cluster: id, source and the beginning of the text."""
    mine = np.flatnonzero(which == cluster)
    best = mine[np.lexsort((sample.order[mine], -cosine[mine]))][:EXAMPLES]
    return [
        {"id": sample.ids[i], "source": sample.sources[i], "text": sample.texts[int(i)].as_py()[:SHOWN]} for i in best
    ]
