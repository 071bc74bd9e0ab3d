"""The map of a snapshot: `corpusmill map`.

Documents are sampled by their ids, so all figures are the same for any sharding and number of workers. Documents of private sources
are left out: their words, texts and counts are not shown.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from corpusmill.pipelines.coverage.compare import Difference, distance, lacks
from corpusmill.pipelines.coverage.holes import Dimension, dimensions
from corpusmill.pipelines.coverage.sample import Sample, draw, part_of
from corpusmill.pipelines.coverage.topics import Topics, examples, learn
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.transforms.embed.diversity import Figure, figures
from corpusmill.transforms.embed.topics import CLUSTERS, SAMPLE
from corpusmill.transforms.errors import DatasetError

SNAPSHOTS = 12
"""Snapshots before this one that are compared, the newest ones."""
MOVED = 5_000
"""Documents of each of them that are looked at."""


@dataclass(frozen=True)
class Moved:
    """An earlier snapshot: its number, documents, entropy of clusters in bits, distance from this one (total variation), and the
    clusters that changed most: (name, share then, share now)."""

    number: int
    documents: int
    entropy: float
    distance: float
    clusters: list[tuple[str, float, float]]


@dataclass(frozen=True)
class Against:
    """The comparison with a reference: its path, distance, and differences with their examples."""

    path: str
    documents: int
    sampled: int
    distance: float
    lacks: list[tuple[Difference, list[dict[str, str]]]]
    only_here: list[tuple[Difference, list[dict[str, str]]]]
    figures: list[Figure]


@dataclass(frozen=True)
class CorpusMap:
    """All that `corpusmill map` shows. counts: int64 [clusters], documents of the sample."""

    path: str
    number: int
    documents: int
    hidden: int
    sampled: int
    wordless: int
    topics: Topics
    counts: np.ndarray
    examples: list[list[dict[str, str]]]
    dimensions: list[Dimension]
    figures: list[Figure]
    moved: list[Moved]
    against: Against | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        t = self.topics
        clusters = [
            {
                "name": t.names[c], "label": t.labels[c], "group": int(t.groups[c]), "documents": int(self.counts[c]),
                "share": float(self.counts[c]) / max(1, int(self.counts.sum())), "examples": self.examples[c],
                **{d.name: dict(zip(d.values, d.counts[c].tolist(), strict=True)) for d in self.dimensions},
            }
            for c in range(len(t.names))
        ]  # fmt: skip
        holes = [
            {"cluster": t.names[c], "label": t.labels[c], d.name: value, "documents": n, "expected": e}
            for d in self.dimensions
            for c, value, n, e in d.holes
        ]
        one = [
            {"cluster": t.names[c], "label": t.labels[c], d.name: value, "documents": n, "of": of}
            for d in self.dimensions
            for c, value, n, of in d.one_topic
        ]
        return {
            "dataset": self.path, "snapshot": self.number, "documents": self.documents, "sampled": self.sampled,
            "private": self.hidden, "without_words": self.wordless, "groups": t.coarse_labels, "clusters": clusters,
            "holes": holes,
            "one_topic": one, "diversity": [asdict(f) for f in self.figures], "snapshots": [asdict(m) for m in self.moved],
            "against": self._against(),
        }  # fmt: skip

    def _against(self) -> dict[str, Any] | None:
        if self.against is None:
            return None
        a, t = self.against, self.topics

        def listed(found: list[tuple[Difference, list[dict[str, str]]]]) -> list[dict[str, Any]]:
            return [
                asdict(d) | {"cluster": t.names[d.cluster], "label": t.labels[d.cluster], "examples": e}
                for d, e in found
            ]

        return {
            "dataset": a.path, "documents": a.documents, "sampled": a.sampled, "distance": a.distance,
            "lacks": listed(a.lacks), "only_here": listed(a.only_here), "diversity": [asdict(f) for f in a.figures],
        }  # fmt: skip


def make_map(
    dataset: Dataset,
    number: int | None = None,
    against: Dataset | None = None,
    clusters: int = CLUSTERS,
    sample: int = SAMPLE,
    most: int | None = None,
    snapshots: int = SNAPSHOTS,
) -> CorpusMap:
    """The map of a snapshot.

    Args:
        dataset: to map.
        number: of the snapshot; None for the newest.
        against: the dataset that it is compared with, in its newest snapshot.
        clusters: finest clusters, about.
        sample: documents of either side that are looked at.
        most: bytes of text of the files that are read, evenly spread ones; None for all.
        snapshots: earlier ones that are compared.

    Raises:
        DatasetError: there are no documents, or none that may be shown.
    """
    manifest = dataset.manifest(number)
    mine = draw(dataset, part_of(manifest, most), sample)
    other = draw(against, against.manifest(), sample) if against else None
    topics = learn([mine] + ([other] if other else []), clusters)
    k = len(topics.names)
    if not k:
        raise DatasetError(f"{dataset.path}: no document has a word; there is nothing to map")
    vectors, which, cosine = topics.place(mine)
    counts = np.bincount(which[which >= 0], minlength=k)
    return CorpusMap(
        dataset.path,
        manifest["number"],
        mine.documents,
        mine.hidden,
        len(mine),
        int((which < 0).sum()),
        topics,
        counts,
        [examples(mine, which, cosine, c) for c in range(k)],
        dimensions(mine, which, k),
        figures(mine.texts.to_pylist(), vectors, which, k),
        _moved(dataset, manifest["number"], topics, counts, snapshots),
        None
        if against is None or other is None
        else _compared(against.path, other, mine, which, cosine, topics, counts),
    )


def _compared(
    path: str, other: Sample, mine: Sample, which: np.ndarray, cosine: np.ndarray, topics: Topics, counts: np.ndarray
) -> Against:
    vectors, theirs, near = topics.place(other)
    there = np.bincount(theirs[theirs >= 0], minlength=len(counts))
    return Against(
        path,
        other.documents,
        len(other),
        distance(counts, there),
        [(d, examples(other, theirs, near, d.cluster)) for d in lacks(counts, there)],
        [(d, examples(mine, which, cosine, d.cluster)) for d in lacks(there, counts)],
        figures(other.texts.to_pylist(), vectors, theirs, len(counts)),
    )


def _moved(dataset: Dataset, this: int, topics: Topics, now: np.ndarray, snapshots: int) -> list[Moved]:
    """How far the snapshots before this one were from it, oldest first."""
    found = []
    for before in [n for n in dataset.numbers if n < this][-snapshots:] if snapshots else []:
        try:
            sample = draw(dataset, dataset.manifest(before), MOVED)
        except DatasetError:  # packed, or without documents
            continue
        _, which, _ = topics.place(sample)
        then = np.bincount(which[which >= 0], minlength=len(now))
        p, q = then / max(1, then.sum()), now / max(1, now.sum())
        most = np.argsort(-np.abs(q - p), kind="stable")[:3]
        entropy = abs(float((p[p > 0] * np.log2(p[p > 0])).sum()))
        changed = [(topics.names[c], float(p[c]), float(q[c])) for c in most if p[c] != q[c]]
        found.append(Moved(before, sample.documents, entropy, distance(then, now), changed))
    return found
