"""A column that names each document's cluster by meaning."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from corpusmill.transforms.arrow import set_column
from corpusmill.transforms.base import Applied, Stability
from corpusmill.transforms.embed.kmeans import nearest
from corpusmill.transforms.embed.learned import Learned
from corpusmill.transforms.embed.rarity import lacks

WORDLESS = "-"
"""The cluster of documents without words."""


class Cluster(Learned):
    """Writes a column that names the cluster of each document: its topic, as far as words tell.

    Source: spherical k-means (Dhillon and Modha 2001) on vectors that are trained on the corpus, as `embed` makes them, in two
    levels: `3.2` is the second part of the fourth of the coarse clusters, both counted from 0, the biggest first. Clusters are
    learned from a sample that is drawn by ids, so they are the same for any sharding. A document without words is in `-`.

    `corpusmill map DIR` names the clusters by their words and shows examples; `balance` and `mix` sample by them. A refresh
    learns anew: the numbers of two snapshots are not comparable.

    >>> Cluster(clusters=64).coarse(64)
    8
    """

    name: ClassVar[str] = "cluster"
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = "cross"
    example: ClassVar[str] = "{clusters: 64}"
    refusal: ClassVar[tuple[str, str]] = (
        "clusters are learned from the texts of all units",
        "leave it out; or cluster public data in a recipe of its own",
    )

    fine: int = Field(64, ge=1, le=4_096, alias="clusters", description="Finest clusters, about.")
    column: str = Field("cluster", min_length=1, description="Column to write.")

    cosine: bool = Field(
        False,
        description="Also write `<column>.cosine`: how near a document is to the centre of its cluster, at most 1.",
    )

    rarity: bool = Field(
        False,
        description="Also write `<column>.rarity`: how rare the words of its cluster are in the corpus, in bits a word. "
        "`balance` gives more to rare ones.",
    )

    lack: bool = Field(
        False,
        description="Also write `<column>.lack`: how many documents its cluster lacks for the mean size, for each that it has. "
        "`generate: {for: holes}` writes so many.",
    )

    model_config = Learned.model_config | {"populate_by_name": True}

    def coarse(self, fine: int) -> int:
        """Coarse clusters for so many fine ones."""
        return max(1, round(math.sqrt(fine)))

    def clusters(self, documents: int) -> tuple[int, int]:
        return self.coarse(self.fine), self.fine

    def wants_rarity(self) -> bool:
        return self.rarity

    def adds_to(self) -> bool:
        return True

    def apply(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table) -> Applied:
        model = self.model(decisions)
        names = pa.nulls(batch.num_rows, pa.string())
        cosines = bits = missing = pa.nulls(batch.num_rows, pa.float64())
        if model is not None and batch.num_rows:
            vectors = self.embed(batch.column("text"), model.words)
            found, near = cluster_names(vectors, model.centres, model.groups)
            names, cosines = pa.array(found, pa.string()), pa.array(near)
            if self.rarity or self.lack:
                at = pc.index_in(names, pa.array(names_of(model.groups), pa.string()))
                bits = pa.array(model.rarity).take(at) if self.rarity else bits
                missing = pa.array(lacks(model.sizes)).take(at)
        batch = set_column(batch, self.column, names)
        for name, wanted, values in (
            ("cosine", self.cosine, cosines),
            ("rarity", self.rarity, bits),
            ("lack", self.lack, missing),
        ):
            if wanted:
                batch = set_column(batch, f"{self.column}.{name}", values)
        return Applied(batch, np.zeros(0, np.int64), [], [], [])


def cluster_names(vectors: np.ndarray, centres: np.ndarray, groups: np.ndarray) -> tuple[list[str], np.ndarray]:
    """(the name of the cluster of each vector, `coarse.fine`; its cosine with the centre, float64 [n])."""
    if not len(centres):
        return [WORDLESS] * len(vectors), np.zeros(len(vectors))
    known = names_of(groups)
    which, cosine = nearest(vectors, centres)
    used = np.asarray(vectors.any(axis=1))
    names = [known[c] if use else WORDLESS for c, use in zip(which[:, 0].tolist(), used.tolist(), strict=True)]
    return names, np.where(used, cosine[:, 0], 0.0)


def names_of(groups: np.ndarray) -> list[str]:
    """The names of fine clusters, from the coarse cluster of each, int32 [k], rising."""
    first = np.searchsorted(groups, groups)
    return [f"{g}.{i - f}" for i, (g, f) in enumerate(zip(groups.tolist(), first.tolist(), strict=True))]
