"""Near-duplicates by meaning: documents whose vectors point the same way."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from corpusmill.transforms.base import Applied, Decided
from corpusmill.transforms.dedup._candidates import DIFFERENT, EQUAL, LINKS, NAMED_LINKS, candidates, components
from corpusmill.transforms.dedup._cut import drop
from corpusmill.transforms.dedup._grouping import column, decisions_or_empty
from corpusmill.transforms.dedup._order import (
    KEEP_HELP,
    TRUST,
    WITHIN_UNITS,
    Keep,
    order_columns,
    order_fingerprint,
    order_ranks,
)
from corpusmill.transforms.embed._survivors import survivors
from corpusmill.transforms.embed.kmeans import nearest
from corpusmill.transforms.embed.learned import Learned
from corpusmill.transforms.embed.pairs import equal, near
from corpusmill.transforms.hashing import hash64, mix64_array

_LINKS = LINKS.append(pa.field("cosine", pa.float64()))
_NAMED = NAMED_LINKS.append(pa.field("cosine", pa.float64()))
_DECISIONS = pa.schema(
    [("shard", pa.uint32()), ("row", pa.uint32()), ("survivor", pa.string()), ("cosine", pa.float64())]
)
_PAIRS = pa.schema([("id_a", pa.string()), ("id_b", pa.string()), ("cosine", pa.float64()), ("survivor", pa.string())])
PER_CENTRE = 16
"""Sampled documents that a cluster needs at least to be found."""


class Semantic(Learned):
    """Drop documents that say the same in other words: the cosine of their vectors is at least `threshold`.

    Source: SemDeDup (Abbas et al. 2023, arXiv 2303.09540), with verified survivors: k-means cuts the corpus into clusters,
    and pairs are compared within a cluster, block against block. A document is compared in its `probes` nearest
    clusters, so that a border between two of them parts few pairs. Vectors are trained on the corpus, as `embed` makes
    them, with pairs of neighbouring words: a document whose sentences change places or whose words have synonyms is
    near, one whose words are shuffled is not.

    Documents of equal vectors are linked at once. The survivor of a cluster of pairs is chosen by `keep`, as in `minhash`; with
    `chain: false` a document is dropped only for a survivor that is near enough itself. Of a dense cluster each document
    keeps its 8 nearest partners. Run `exact` and `minhash` before it: they are surer, and leave less to compare.

    Memory: a block of `block` x `block` cosines, and the vectors of the clusters that one task compares, which has about 8 MB.
    Side table `pairs`: id_a < id_b, cosine, survivor.
    Raises RecipeError if `keep` needs a column that is absent.

    >>> Semantic(threshold=0.9).probes
    2
    """

    name: ClassVar[str] = "semantic"
    version: ClassVar[int] = 1
    example: ClassVar[str] = "{threshold: 0.75}"
    advice: ClassVar[str | None] = TRUST
    refusal: ClassVar[tuple[str, str]] = (
        "vectors are trained on the texts of all units, and one document removes those of others",
        WITHIN_UNITS,
    )
    rounds: ClassVar[int] = 4
    gathered: ClassVar[frozenset[int]] = frozenset({2})
    adds: ClassVar[frozenset[int]] = frozenset({2})
    pair_share: ClassVar[int] = 32

    threshold: float = Field(0.72, gt=0, le=1, description="Least cosine of near-duplicates.")
    cluster_size: int = Field(
        2_000, ge=16, le=1_000_000, description="Documents of a cluster, about: more find more pairs, at more cost."
    )
    probes: int = Field(2, ge=1, le=8, description="Clusters in which a document is compared.")
    block: int = Field(1_024, ge=64, le=16_384, description="Documents that are compared with as many others at once.")
    keep: Keep = Field("first", description=KEEP_HELP)
    chain: bool = Field(
        False,
        description="Clusters are chains of near documents; if false, a document is dropped only for a survivor that is near "
        "enough itself.",
    )

    def fingerprint(self) -> str:
        return order_fingerprint(super().fingerprint(), self.keep)

    def clusters(self, documents: int) -> tuple[int, int]:
        found = max(1, min(-(-documents // self.cluster_size), self.sample // PER_CENTRE))
        return max(1, round(math.sqrt(found))), found

    def keys(self, rnd: int, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        if rnd == 0:
            order_columns(batch.slice(0, 0), self.keep, self.name)  # raise for a missing column now
        if rnd < 2:
            return super().keys(rnd, batch, rows, decisions)
        if rnd == 2:
            return self._placed(batch, rows, decisions)
        told = decisions_or_empty(decisions, _NAMED)
        documents = candidates(told)
        chosen = batch.take(pa.array(np.searchsorted(rows, documents.row)))
        return pa.record_batch(
            {
                "key": documents.component,
                "row": documents.row,
                "name": documents.name,
                "shown_by": documents.shown_by,
                "partners": documents.partners,
                "cosines": pa.ListArray.from_arrays(documents.partners.offsets, pa.array(_cosines(told))),
                **order_columns(chosen, self.keep, self.name),
            }
        )

    def _placed(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        """A row for each cluster in which a document is compared."""
        model = None if decisions is None else self.model(decisions)
        if model is None or not batch.num_rows:
            vectors, which = np.zeros((batch.num_rows, self.dims), np.int8), np.zeros((batch.num_rows, 1), np.int32)
        else:
            vectors = self.embed(batch.column("text"), model.words)
            which = np.zeros((batch.num_rows, 1), np.int32)
            if len(model.centres):
                which = nearest(vectors, model.centres, self.probes)[0]
        document = np.repeat(np.arange(batch.num_rows), which.shape[1])
        blank = ~np.asarray(vectors.any(axis=1))
        content = hash64(batch.column("text").fill_null(""))
        key = mix64_array(which.reshape(-1).astype(np.uint64) + np.uint64(1))
        key = np.where(blank[document], content[document], key)  # without words, only equal texts meet
        flat = vectors[document].reshape(-1)
        return pa.record_batch(
            {
                "key": key,
                "row": rows.astype(np.uint32)[document],
                "content": content[document],
                "vector": pa.FixedSizeListArray.from_arrays(pa.array(flat), vectors.shape[1]),
            }
        )

    def decide(self, rnd: int, keys: pa.Table) -> Decided:
        if rnd < 2:
            return super().decide(rnd, keys)
        return Decided(self._links(keys)) if rnd == 2 else self._chosen(keys)

    def gather(self, rnd: int, decisions: Iterable[pa.Table], shard_rows: np.ndarray) -> pa.Table:
        linked = components(decisions, shard_rows)
        return linked.append_column("cosine", pa.array(np.ones(linked.num_rows)))

    def _links(self, keys: pa.Table) -> pa.Table:
        """Near pairs, and the first of equal vectors, of the clusters of one partition."""
        if not keys.num_rows:
            return _LINKS.empty_table()
        key, content = column(keys, "key"), column(keys, "content")
        order = np.lexsort((content, key))
        begins = np.append(np.flatnonzero(np.r_[True, np.diff(key[order]) != 0]), len(order))
        held = keys.column("vector").combine_chunks()
        flat = held.flatten().to_numpy().reshape(len(keys), -1)
        a, b, cosine, what = [], [], [], []
        for begin, end in zip(begins[:-1], begins[1:], strict=True):
            if end - begin < 2:
                continue
            rows = order[begin:end]
            vectors = flat[rows]
            first = equal(vectors, content[rows])
            again = np.flatnonzero(first != np.arange(len(rows)))
            lone = np.flatnonzero((first == np.arange(len(rows))) & vectors.any(axis=1))
            x, y, value = near(vectors[lone], self.threshold, self.block)
            a += [rows[first[again]], rows[lone[x]]]
            b += [rows[again], rows[lone[y]]]
            cosine += [np.ones(len(again)), value]
            what += [np.full(len(again), EQUAL, np.uint8), np.full(len(x), DIFFERENT, np.uint8)]
        if not a:
            return _LINKS.empty_table()
        one, two = pa.array(np.concatenate(a)), pa.array(np.concatenate(b))
        columns = [keys.column(name).take(at) for at in (one, two) for name in ("shard", "row")]
        return pa.table([*columns, np.concatenate(what), np.concatenate(cosine)], schema=_LINKS)

    def _chosen(self, keys: pa.Table) -> Decided:
        """The survivors of the components of one partition."""
        if not keys.num_rows:
            return Decided(_DECISIONS.empty_table(), {"pairs": _PAIRS.empty_table()})
        keys = keys.take(pa.array(np.argsort(order_ranks(keys)))).combine_chunks()
        n = keys.num_rows
        name = column(keys, "name")
        by_name = np.argsort(name)

        def row_of(names: np.ndarray) -> np.ndarray:
            return by_name[np.searchsorted(name[by_name], names)]

        shown = row_of(column(keys, "shown_by"))
        classes, first = np.unique(shown, return_index=True)
        best = np.empty(n, np.int64)
        best[classes] = first
        best = best[shown]
        partners, cosines = keys.column("partners").combine_chunks(), keys.column("cosines").combine_chunks()
        x = best[np.repeat(np.arange(n), np.diff(partners.offsets.to_numpy()))]
        y = best[row_of(partners.flatten().to_numpy())]
        low, high, value = np.minimum(x, y), np.maximum(x, y), cosines.flatten().to_numpy()
        _, pick = np.unique(low * n + high, return_index=True)
        pick = pick[(low != high)[pick]]
        low, high, value = low[pick], high[pick], value[pick]
        root, to_root = survivors(n, low, high, value, self.chain)
        again = np.flatnonzero(best != np.arange(n))
        to_root[again] = np.where(root[best[again]] == best[again], 1.0, to_root[best[again]])
        root[again] = root[best[again]]
        dropped = np.flatnonzero(root != np.arange(n))
        ids = keys.column("id").combine_chunks()
        columns = [keys.column(c).take(pa.array(dropped)) for c in ("shard", "row")]
        decisions = pa.table(
            [*columns, ids.take(pa.array(root[dropped])), pa.array(to_root[dropped])], schema=_DECISIONS
        )
        if not self.chain:  # the pairs that decided
            low, high, value = root[dropped], dropped, to_root[dropped]
        else:
            low, high = np.append(low, best[again]), np.append(high, again)
            value = np.append(value, np.ones(len(again)))
        id_a, id_b = ids.take(pa.array(low)), ids.take(pa.array(high))
        swap = pc.greater(id_a, id_b)
        columns = [pc.if_else(swap, id_b, id_a), pc.if_else(swap, id_a, id_b), pa.array(value)]
        pairs = pa.table([*columns, ids.take(pa.array(root[low]))], schema=_PAIRS)
        return Decided(decisions, {"pairs": pairs.sort_by([("id_a", "ascending"), ("id_b", "ascending")])})

    def apply(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table) -> Applied:
        return drop(batch, rows, decisions, "near-meaning", "cosine")


def _cosines(decisions: pa.Table) -> np.ndarray:
    """The cosine of each partner of `candidates`, float64 [m]: decisions are sorted by row and partner."""
    pair = np.equal(column(decisions, "what"), DIFFERENT)
    row, other, cosine = (column(decisions, c)[pair] for c in ("row", "other", "cosine"))
    fresh = np.ones(len(row), np.bool_)
    fresh[1:] = (row[1:] != row[:-1]) | (other[1:] != other[:-1])
    return cosine[fresh]
