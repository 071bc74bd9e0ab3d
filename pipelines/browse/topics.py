"""The map of a snapshot in the browser: clusters of a sample, drawn by size, and the documents of each."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from corpusmill.pipelines.browse.tables import Tables
from corpusmill.pipelines.coverage.sample import Sample, draw, part_of
from corpusmill.pipelines.coverage.topics import Topics, learn
from corpusmill.pipelines.coverage.treemap import tiles
from corpusmill.transforms.errors import DatasetError

SAMPLE, CLUSTERS = 20_000, 64
READ = 512 << 20
"""Bytes of text of the shards that are read, evenly spread ones; a larger snapshot is mapped in part."""
SIZE = (960, 420)
"""Width and height of the drawing."""
PAGE = 50
EXCERPT = 400
"""Characters of a text in the list of a cluster's documents."""

_LOCK = threading.Lock()


@dataclass(frozen=True)
class Mapped:
    """sample: the documents; topics: what was learned; which, cosine: the cluster of each document, -1 for none, and how near its
    centre is; read, shards: how many shards were read, and how many there are."""

    sample: Sample
    topics: Topics
    which: np.ndarray
    cosine: np.ndarray
    read: int
    shards: int


def mapped(tables: Tables) -> Mapped:
    """The map of a snapshot; it is made at the first question.

    Raises:
        DatasetError: there is no document to map.
    """
    with _LOCK:
        if tables.map is None:
            part = part_of(tables.manifest, READ)
            sample = draw(tables.reader, part, SAMPLE)
            topics = learn([sample], CLUSTERS)
            if not topics.names:
                raise DatasetError(f"{tables.reader.path}: no document has a word; there is nothing to map")
            _, which, cosine = topics.place(sample)
            tables.map = Mapped(sample, topics, which, cosine, len(part["files"]), len(tables.manifest["files"]))
        found: Mapped = tables.map
        return found


def clusters(tables: Tables) -> dict[str, Any]:
    """sampled, documents, read and shards (how many shards were read, and how many there are), size of the drawing, and the
    clusters, the biggest first: name, label, group, documents, share, and x, y, width, height in the drawing."""
    found = mapped(tables)
    counts = np.bincount(found.which[found.which >= 0], minlength=len(found.topics.names))
    groups = found.topics.groups
    boxes = {c: (x, y, w, h) for c, x, y, w, h in tiles(counts, groups, *SIZE)}
    made = []
    for c in sorted(boxes, key=lambda c: (-int(counts[c]), c)):
        about = {
            "number": c,
            "name": found.topics.names[c],
            "label": found.topics.labels[c],
            "documents": int(counts[c]),
        }
        about |= {"group": int(groups[c]), "of": found.topics.coarse_labels[int(groups[c])]}
        made.append(about | dict(zip(("x", "y", "width", "height"), boxes[c], strict=True)))
    return {
        "sampled": len(found.sample), "documents": found.sample.documents, "read": found.read, "shards": found.shards,
        "size": list(SIZE), "clusters": made,
    }  # fmt: skip


def members(tables: Tables, cluster: int, offset: int) -> list[dict[str, Any]]:
    """A page of the documents of a cluster, the nearest to its centre first: _id, id, cosine, text.

    Raises:
        DatasetError: there is no such cluster.
    """
    found = mapped(tables)
    if not 0 <= cluster < len(found.topics.names):
        raise DatasetError(f"there is no cluster {cluster}")
    mine = np.flatnonzero(found.which == cluster)
    best = mine[np.lexsort((found.sample.order[mine], -found.cosine[mine]))][offset : offset + PAGE]
    ids, texts = found.sample.ids, found.sample.texts
    return [
        {"_id": ids[i], "id": ids[i], "cosine": float(found.cosine[i]), "text": texts[i].as_py()[:EXCERPT]}
        for i in best.tolist()
    ]
