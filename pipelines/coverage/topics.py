"""Topics that are learned from samples, and the cluster of each document."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.coverage.keywords import keywords
from corpusmill.pipelines.coverage.sample import Sample
from corpusmill.transforms.embed.cluster import names_of
from corpusmill.transforms.embed.topics import LEARNED, TopicModel, learn_topics

EXAMPLES, SHOWN = 3, 300
"""Examples of a cluster, and the characters of each that are shown."""


@dataclass(frozen=True)
class Topics:
    """model: what was learned; names, labels: of the fine clusters; coarse_labels: of the coarse ones."""

    model: TopicModel
    names: list[str]
    labels: list[str]
    coarse_labels: list[str]

    @property
    def groups(self) -> np.ndarray:
        """int32 [k]: the coarse cluster of each fine one."""
        return self.model.groups

    def place(self, sample: Sample) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(vectors, fine cluster, cosine with its centre) of each document, as `TopicModel.place`."""
        return self.model.place(sample.texts)


def learn(samples: list[Sample], clusters: int) -> Topics:
    """Topics of one sample, or of a sample and that of its reference together, each with the same weight a document."""
    parts = [(s.texts.slice(0, LEARNED), s.order[:LEARNED]) for s in samples]
    texts = pa.concat_arrays([t for t, _ in parts])
    order = np.concatenate([o for _, o in parts])
    # documents of both samples count once
    _, first = np.unique(order, return_index=True)
    texts, order = texts.take(pa.array(first)), order[first]
    model = learn_topics(texts, order, clusters)
    groups = model.groups
    which = model.place(texts)[1]
    listed = texts.to_pylist()
    labels = [" ".join(w) for w in keywords(listed, which, len(groups))]
    coarse = int(groups.max()) + 1 if len(groups) else 0
    above = np.where(which >= 0, np.append(groups, -1)[which], -1)
    coarse_labels = [" ".join(w) for w in keywords(listed, above, coarse)]
    return Topics(model, names_of(groups), labels, coarse_labels)


def examples(sample: Sample, which: np.ndarray, cosine: np.ndarray, cluster: int) -> list[dict[str, str]]:
    """The documents nearest to the centre of a cluster: id, source and the beginning of the text."""
    mine = np.flatnonzero(which == cluster)
    best = mine[np.lexsort((sample.order[mine], -cosine[mine]))][:EXAMPLES]
    return [
        {"id": sample.ids[i], "source": sample.sources[i], "text": sample.texts[int(i)].as_py()[:SHOWN]} for i in best
    ]
