"""Near-duplicate documents: MinHash candidates, confirmed by true Jaccard similarity, clustered, one survivor a cluster."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from corpusmill.transforms.base import Applied, Decided, Group
from corpusmill.transforms.dedup._candidates import NAMED_LINKS, band_pairs, candidates, components
from corpusmill.transforms.dedup._cut import drop
from corpusmill.transforms.dedup._grouping import column, decisions_or_empty
from corpusmill.transforms.dedup._novel import empty_novel, novel_lists, novel_shingles, with_novel
from corpusmill.transforms.dedup._order import (
    KEEP_HELP,
    TRUST,
    WITHIN_UNITS,
    Keep,
    order_columns,
    order_fingerprint,
    order_ranks,
)
from corpusmill.transforms.dedup._shingles import shingle_sets
from corpusmill.transforms.dedup._sketch import band_keys, sketch
from corpusmill.transforms.dedup._verify import confirm, direct, similarity_to_survivor

_DECISIONS = pa.schema(
    [("shard", pa.uint32()), ("row", pa.uint32()), ("survivor", pa.string()), ("jaccard", pa.float64())]
)
_PAIRS = pa.schema([("id_a", pa.string()), ("id_b", pa.string()), ("jaccard", pa.float64()), ("survivor", pa.string())])


class Minhash(Group):
    """Drop near-duplicate documents: those whose word n-grams overlap with another's by at least `threshold`.

    Source: Broder 1997, "On the resemblance and containment of documents"; sketches by Dahlgaard, Knudsen, Thorup 2017;
    shingles as in Lee et al. 2022, "Deduplicating training data makes language models better", section 4.2.

    Round 0 sends one 20-byte row for each band. Documents that share a band are candidates; equal documents are linked at once.
    (With 24 bands of 7 slots, a pair of similarity 0.8 is found with probability 0.9965, and one of 0.5 is compared with 0.17;
    with 32 of 8 it is 0.9972 and 0.12, for a third more to send.) The components of the graph of candidates are gathered. In
    round 1 the documents of a component meet with their shingles and are compared: J = |A and B| / |A or B|. Clusters are the
    components of the confirmed pairs, so a chain of similar documents is one cluster; `keep` chooses its survivor. With `chain:
    false` a document is dropped only for a survivor that reaches `threshold` itself.
    Equal means equal words in equal order: case, punctuation and white space do not count. Documents without words are equal only
    byte for byte.

    With `keep_novel`, the passages of a dropped document that its survivor lacks are kept as a derived document. It has the
    columns of the dropped one, which is its `parent`; `derived_by` names the survivor. A passage has at least `novel_words`
    words, each of which lies in no shingle of the survivor. What several dropped documents of a cluster share is kept once.

    Side table `pairs`: id_a < id_b, jaccard (null without `verify`), survivor of their cluster. In candidate components of
    more than 64 documents the pairs are those that span the clusters, else all that reach the threshold.
    Raises RecipeError if `keep` needs a column that is absent.

    >>> Minhash(threshold=0.7).bands
    24
    """

    name: ClassVar[str] = "minhash"
    example: ClassVar[str] = "{threshold: 0.8}"
    advice: ClassVar[str | None] = TRUST
    refusal: ClassVar[tuple[str, str]] = (
        "one document joins clusters, and so removes documents of other units",
        WITHIN_UNITS,
    )
    version: ClassVar[int] = 2
    rounds: ClassVar[int] = 2
    gathered: ClassVar[frozenset[int]] = frozenset({0})
    adds: ClassVar[frozenset[int]] = frozenset({0})

    threshold: float = Field(default=0.8, gt=0, le=1, description="Least Jaccard similarity of near-duplicates.")
    ngram: int = Field(default=5, ge=1, le=64, description="Words a shingle; characters, in scripts without spaces.")
    bands: int = Field(default=24, ge=1, le=1024, description="Bands of the sketch: more find more, at more cost.")
    rows: int = Field(default=7, ge=1, le=64, description="Slots a band: more give fewer candidates.")
    verify: bool = Field(default=True, description="Confirm candidates by the true similarity of their shingles.")
    keep: Keep = Field(default="first", description=KEEP_HELP)
    chain: bool = Field(
        default=True,
        description="Clusters are chains of similar documents; if false, a document is dropped only for a survivor that is "
        "similar enough itself.",
    )
    keep_novel: bool = Field(
        default=False, description="Keep what the survivor of a dropped document lacks, as a derived document."
    )
    novel_words: int = Field(default=10, ge=1, description="Words of the shortest passage that `keep_novel` keeps.")

    @model_validator(mode="after")
    def _verified(self) -> Minhash:
        if not self.verify and (self.keep_novel or not self.chain):
            raise ValueError("`keep_novel: true` and `chain: false` compare shingles; leave `verify` on")
        return self

    def fingerprint(self) -> str:
        """As of every step. The fields of duplicates without loss enter where they are in use, so that other recipes keep
        their stored work."""
        unused = {} if self.keep_novel or not self.chain else {"chain", "keep_novel", "novel_words"}
        return order_fingerprint(self._fingerprint_without(unused), self.keep)

    def adds_to(self) -> bool:
        return self.keep_novel

    def keys(self, rnd: int, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        if rnd == 0:
            order_columns(
                batch.slice(0, 0), self.keep, self.name
            )  # raise for a missing column now, not in a later pass
            slots, words, counts = sketch(batch.column("text"), self.bands * self.rows, self.ngram)
            key, content, document = band_keys(slots, words, counts, self.bands, self.rows)
            return pa.record_batch({"key": key, "row": rows.astype(np.uint32)[document], "content": content})
        documents = candidates(decisions_or_empty(decisions, NAMED_LINKS))
        chosen = batch.take(pa.array(np.searchsorted(rows, documents.row)))
        if self.verify:
            # a document that is not compared sends no shingles: its text counts as empty
            shingles = shingle_sets(pc.if_else(pa.array(documents.compared), chosen.column("text"), ""), self.ngram)
        else:
            shingles = pa.ListArray.from_arrays(np.zeros(len(documents.row) + 1, np.int32), pa.array([], pa.uint32()))
        return pa.record_batch(
            {
                "key": documents.component,
                "row": documents.row,
                "name": documents.name,
                "shown_by": documents.shown_by,
                "partners": documents.partners,
                "shingles": shingles,
                **order_columns(chosen, self.keep, self.name),
            }
        )

    def decide(self, rnd: int, keys: pa.Table) -> Decided:
        return Decided(band_pairs(keys)) if rnd == 0 else self._clusters(keys)

    def gather(self, rnd: int, decisions: Iterable[pa.Table], shard_rows: np.ndarray) -> pa.Table:
        return components(decisions, shard_rows)

    def _clusters(self, keys: pa.Table) -> Decided:
        if keys.num_rows == 0:
            none = _DECISIONS.empty_table()
            if self.keep_novel:
                none = none.append_column("novel", empty_novel(0))
            return Decided(none, {"pairs": _PAIRS.empty_table()})
        by_rank = np.argsort(order_ranks(keys))
        keys = keys.take(pa.array(by_rank)).combine_chunks()
        n = keys.num_rows
        name = column(keys, "name")
        by_name = np.argsort(name)
        sorted_names = name[by_name]

        def row_of(names: np.ndarray) -> np.ndarray:
            return by_name[np.searchsorted(sorted_names, names)]

        shown = row_of(column(keys, "shown_by"))
        classes, first = np.unique(shown, return_index=True)
        best = np.empty(n, np.int64)
        best[classes] = first
        best = best[shown]
        partners = keys.column("partners").combine_chunks()
        x = best[np.repeat(np.arange(n), np.diff(partners.offsets.to_numpy()))]
        y = best[row_of(partners.flatten().to_numpy())]
        left, right = np.divmod(np.unique((np.minimum(x, y) * n + np.maximum(x, y))[x != y]), n)
        _, component, sizes = np.unique(column(keys, "key"), return_inverse=True, return_counts=True)
        shingles = keys.column("shingles").combine_chunks()
        values = (shingles.offsets.to_numpy(), shingles.values.to_numpy())
        if self.chain:
            root, a, b, similarity = confirm(
                best, shown, sizes[component], left, right, *values, self.threshold, self.verify
            )
        else:
            root, a, b, similarity = direct(
                best, shown, component, sizes[component], left, right, *values, self.threshold
            )
        dropped = np.flatnonzero(root != np.arange(n))
        ids = keys.column("id").combine_chunks()
        closest = similarity_to_survivor(root, a, b, similarity)[dropped]
        decisions = pa.table(
            [
                keys.column("shard").take(pa.array(dropped)),
                keys.column("row").take(pa.array(dropped)),
                ids.take(pa.array(root[dropped])),
                pa.array(closest, from_pandas=True),
            ],
            schema=_DECISIONS,
        )
        if self.keep_novel:
            lone = dropped[best[dropped] == dropped]  # one of several equal documents brings what is new in them
            lone = lone[np.lexsort((lone, root[lone]))]
            begins, novel = novel_shingles(lone, root, shown, *values)
            decisions = decisions.append_column("novel", novel_lists(begins, novel, lone, dropped))
        id_a, id_b = ids.take(pa.array(a)), ids.take(pa.array(b))
        swap = pc.greater(id_a, id_b)
        pairs = pa.table(
            [
                pc.if_else(swap, id_b, id_a),
                pc.if_else(swap, id_a, id_b),
                pa.array(similarity, from_pandas=True),
                ids.take(pa.array(root[a])),
            ],
            schema=_PAIRS,
        )
        return Decided(decisions, {"pairs": pairs.sort_by([("id_a", "ascending"), ("id_b", "ascending")])})

    def apply(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table) -> Applied:
        applied = drop(batch, rows, decisions, "near-duplicate", "jaccard")
        if not self.keep_novel:
            return applied
        lost = batch.take(pa.array(applied.dropped))
        novel, survivors = (decisions.column(c).combine_chunks() for c in ("novel", "survivor"))
        step = (self.name, self.version)
        made, derived = with_novel(applied.batch, lost, survivors, novel, step, self.ngram, self.novel_words)
        return replace(applied, batch=made, derived=derived)
