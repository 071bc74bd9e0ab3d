"""Resamples documents towards a target text."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from corpusmill.transforms.base import Applied, Decided, Group, Stability
from corpusmill.transforms.decontaminate.evaluation import read_items
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.random import Keyed, uniform_array
from corpusmill.transforms.select._holes import TABLE, Reference, apportion, reference
from corpusmill.transforms.select._ngrams import ngram_counts, ngram_sums

_SENT_COUNTS = pa.schema({"key": pa.uint64(), "row": pa.uint32(), "pool": pa.binary(), "target": pa.binary()})
_SENT_SCORES = pa.schema(
    {
        "key": pa.uint64(),
        "row": pa.uint32(),
        "score": pa.float64(),
        "weight": pa.float64(),
        "size": pa.int64(),
        "order": pa.uint64(),
        "cluster": pa.int32(),
        "have": pa.binary(),
    }
)
_WEIGHTS = pa.schema({"shard": pa.uint32(), "row": pa.uint32(), "weights": pa.binary()})
_DROPPED = pa.schema({"shard": pa.uint32(), "row": pa.uint32(), "weight": pa.float64()})
_TABLE = pa.schema(
    {
        "documents": pa.int64(),
        "size": pa.int64(),
        "selected_documents": pa.int64(),
        "selected_size": pa.int64(),
        "effective_documents": pa.float64(),
    }
)


class Select(Group):
    """Keeps the documents that look most like a target, by a draw that follows their importance weights.

    Source: DSIR (Xie et al. 2023, arXiv 2302.03169), section 3: hashed n-gram features and Gumbel top-k resampling; and
    Moore and Lewis 2010 for `method: moore-lewis`. With p and q the smoothed shares of each hashed n-gram (1 to `ngram`
    lower-cased words) in the target and in the pool, a document's log weight is the sum of log p - log q over its n-grams
    (`ngram-ratio`), or the mean over its n-grams (`moore-lewis`). With `sample`, a Gumbel variable keyed by (`seed`, id) is
    added to the log weight, so that the documents with the highest sums are a sample without replacement in proportion to
    the weights. The draw of a document does not depend on shards, workers or order.

    The target is a file (`like`), or the documents of one source of the recipe (`like_source`), which are all kept. The
    pool is every other document. `share` or `budget` says how much of the pool is kept. Other documents are
    dropped with the reason `not-selected`; their value is the log weight. The side table `selection` holds the sizes and
    the effective sample size of the weights: (sum w)^2 / sum w^2. A refresh computes the weights anew.

    With `for: holes` the target is a reference of what a corpus should hold, and documents are kept that fill what it has
    and the corpus lacks. The corpus is the sources of `have`, which are all kept; the pool is every other document. Topics
    are clusters of the reference. A topic that has a smaller share in the corpus than in the reference gets documents of the
    pool until both are equal, or with `share` or `budget`, the most lacking topics get so much. Documents of no topic of the
    reference are dropped; the value of a dropped one is its cosine with the nearest topic. The side table `holes` lists every
    topic: an example, its share of the reference, and what the corpus has, the pool has and was selected, in `unit`.

    Cost: two passes over the text, 8 bytes a bucket for each batch of documents, 40 bytes a document in one partition.

    Raises:
        RecipeError: the target has no words, or no document is of `like_source`.

    >>> Select(like="books.txt", share=0.2).method
    'ngram-ratio'
    """

    name: ClassVar[str] = "select"
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = "cross"
    example: ClassVar[str] = "{like: target.parquet, share: 0.2}"
    rounds: ClassVar[int] = 2
    gathered: ClassVar[frozenset[int]] = frozenset({0})
    broadcast: ClassVar[frozenset[int]] = frozenset({0})

    like: str | None = Field(
        None, min_length=1, description="File with the target's text: Parquet, JSON lines or text."
    )
    like_source: str | None = Field(None, min_length=1, description="Name of the source that is the target.")
    purpose: Literal["likeness", "holes"] = Field(
        "likeness",
        alias="for",
        description="What is looked for: documents like the target, or those that fill what `like` has and `have` lacks.",
    )
    have: tuple[str, ...] = Field((), description="Names of the sources that are there already (holes). All are kept.")
    columns: tuple[str, ...] = Field(
        (), description="Columns of `like` that hold text; by default the first known one."
    )
    share: float | None = Field(None, gt=0, le=1, description="Share of the pool to keep, counted in `unit`.")
    budget: int | None = Field(None, ge=1, description="How much of the pool to keep at most, in `unit`.")
    unit: Literal["documents", "bytes"] = Field(
        "documents", description="What `budget` counts: documents or bytes of text."
    )
    method: Literal["ngram-ratio", "moore-lewis"] = Field(
        "ngram-ratio",
        description="Log weight of a document: `ngram-ratio` (DSIR), the sum over its n-grams; `moore-lewis`, the mean.",
    )
    sample: bool = Field(True, description="Draw in proportion to the weights; false keeps the highest weights.")
    ngram: int = Field(2, ge=1, le=5, description="Longest n-gram, in words.")
    buckets: int = Field(10_000, ge=2, le=1 << 20, description="Number of hash buckets for n-grams.")
    seed: int = Field(1, ge=0, description="Seed of the draw.")

    model_config = Group.model_config | {"populate_by_name": True}

    @model_validator(mode="after")
    def _one_of_each(self) -> Select:
        if self.purpose == "holes":
            if self.like is None or self.like_source is not None:
                raise ValueError("`for: holes` needs a file of the reference: give `like`, and no `like_source`")
            if self.share is not None and self.budget is not None:
                raise ValueError("give `share` or `budget`, not both")
            if not self.have and self.share is None and self.budget is None:
                raise ValueError("name the sources that are there already by `have`, or say how much to keep")
            return self
        if self.have:
            raise ValueError("`have` goes with `for: holes`")
        if (self.like is None) == (self.like_source is None):
            raise ValueError("give the target either as a file, `like`, or as a source of this recipe, `like_source`")
        if (self.share is None) == (self.budget is None):
            raise ValueError("say how much to keep, either by `share` or by `budget`")
        return self

    def files(self) -> list[str]:
        return [] if self.like is None else [self.like]

    def named_sources(self) -> list[tuple[str, str]]:
        """(field, source) of each source of the recipe that is named."""
        return [] if self.like_source is None else [("like_source", self.like_source)]

    def keys(self, rnd: int, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        if rnd == 0:
            return self._counts(batch, rows)
        if decisions is None or not decisions.num_rows:
            return pa.RecordBatch.from_pylist([], _SENT_SCORES)
        if self.purpose == "holes":
            return self._candidates(batch, rows, np.frombuffer(decisions["weights"][0].as_py(), np.uint64))
        return self._scores(batch, rows, np.frombuffer(decisions["weights"][0].as_py(), np.float64))

    def _counts(self, batch: pa.RecordBatch, rows: np.ndarray) -> pa.RecordBatch:
        """One row: the n-gram counts of the batch's pool, and of its documents of the target's source."""
        if not batch.num_rows:
            return pa.RecordBatch.from_pylist([], _SENT_COUNTS)
        pool = self._pool(batch)
        text = batch.column("text")
        if self.purpose == "holes":
            which, _ = self._reference().place(text.filter(pa.array(~pool)))
            sizes = self._sizes(text.filter(pa.array(~pool)))
            k = len(self._reference().shares)
            # the last counter holds what is of no topic
            had = np.bincount(np.where(which < 0, k, which), sizes, k + 1).astype(np.uint64)
            counts = [b"", had.tobytes()]
        else:
            counts = [self._of(text.filter(pa.array(mask))) for mask in (pool, ~pool)]
        key = Keyed(self.seed, self.name).keys(batch.slice(0, 1))
        row = {"key": int(key[0]), "row": int(rows[0]), "pool": counts[0], "target": counts[1]}
        return pa.RecordBatch.from_pylist([row], _SENT_COUNTS)

    def _of(self, texts: pa.Array) -> bytes:
        return ngram_counts(texts, self.ngram, self.buckets).tobytes() if len(texts) else b""

    def _scores(self, batch: pa.RecordBatch, rows: np.ndarray, weights: np.ndarray) -> pa.RecordBatch:
        """A row for each document of the pool: its log weight, and the score by which documents are ordered."""
        at = np.flatnonzero(self._pool(batch))
        text = batch.column("text").take(pa.array(at))
        sums, grams = ngram_sums(text, self.ngram, weights)
        weight = sums / np.maximum(grams, 1) if self.method == "moore-lewis" else sums
        draws = Keyed(self.seed, self.name).keys(batch)[at]
        # uniform in (0, 1): the draw's 53 bits and a half
        gumbel = -np.log(-np.log(uniform_array(draws) + 2.0**-54)) if self.sample else np.zeros(len(at))
        none = np.zeros(len(at), np.int64)
        columns = [
            none.astype(np.uint64),
            rows[at].astype(np.uint32),
            weight + gumbel,
            weight,
            self._sizes(text),
            draws,
        ]
        columns += [none.astype(np.int32), pa.nulls(len(at), pa.binary())]
        return pa.RecordBatch.from_arrays([pa.array(c) for c in columns], schema=_SENT_SCORES)

    def _sizes(self, text: pa.Array) -> np.ndarray:
        """int64 [n], in `unit`."""
        if self.unit == "documents":
            return np.ones(len(text), np.int64)
        sizes: np.ndarray = pc.binary_length(text).fill_null(0).cast(pa.int64()).to_numpy(zero_copy_only=False)
        return sizes

    def _reference(self) -> Reference:
        return reference(str(self.like), self.fingerprint(), self.columns)

    def _candidates(self, batch: pa.RecordBatch, rows: np.ndarray, had: np.ndarray) -> pa.RecordBatch:
        """A row for each document of the pool with its topic, -1 for none; the first also says what the corpus has of each."""
        at = np.flatnonzero(self._pool(batch))
        text = batch.column("text").take(pa.array(at))
        which, cosine = self._reference().place(text)
        draws = Keyed(self.seed, self.name).keys(batch)[at]
        score = uniform_array(draws) if self.sample else cosine
        columns = [np.zeros(len(at), np.uint64), rows[at].astype(np.uint32), score, cosine, self._sizes(text), draws]
        columns += [which.astype(np.int32), pa.array([had.tobytes()][: len(at)] + [None] * (len(at) - 1), pa.binary())]
        return pa.RecordBatch.from_arrays([pa.array(c) for c in columns], schema=_SENT_SCORES)

    def decide(self, rnd: int, keys: pa.Table) -> Decided:
        if rnd == 0:
            return self._partial_sums(keys)
        return self._selection(keys) if self.purpose == "likeness" else self._filled(keys)

    def _partial_sums(self, keys: pa.Table) -> Decided:
        """The sums of this partition's counts, in one row of pool and one of target."""
        sums = [self._sum(keys[name]) for name in ("pool", "target")]
        return Decided(
            pa.table([[0, 0], [0, 1], [s.tobytes() for s in sums]], schema=_WEIGHTS)
            if keys.num_rows
            else _WEIGHTS.empty_table()
        )

    def _sum(self, column: pa.ChunkedArray) -> np.ndarray:
        total = np.zeros(self._counters(), np.uint64)
        for chunk in column.chunks:
            for value in chunk:
                if counts := value.as_buffer():
                    total += np.frombuffer(counts, np.uint64) if counts.size else np.uint64(0)
        return total

    def _counters(self) -> int:
        return len(self._reference().shares) + 1 if self.purpose == "holes" else self.buckets

    def gather(self, rnd: int, decisions: Iterable[pa.Table], shard_rows: np.ndarray) -> pa.Table:
        """The weight of each bucket, for every shard that has documents."""
        totals = np.zeros((2, self._counters()), np.uint64)
        for table in decisions:
            for row, counts in zip(table["row"].to_pylist(), table["weights"]):
                totals[row] += np.frombuffer(counts.as_buffer(), np.uint64)
        shards = np.flatnonzero(shard_rows)
        if not len(shards):
            return _WEIGHTS.empty_table()
        holes = self.purpose == "holes"
        weights = (totals[1] if holes else _log_ratio(self._target(totals[1]), totals[0])).tobytes()
        columns = [shards.astype(np.uint32), np.zeros(len(shards), np.uint32), [weights] * len(shards)]
        return pa.table([pa.array(c, f.type) for c, f in zip(columns, _WEIGHTS, strict=True)], schema=_WEIGHTS)

    def _target(self, seen: np.ndarray) -> np.ndarray:
        if self.like is not None:
            counts = _counts_of_file(self.like, self.fingerprint(), self.columns, self.ngram, self.buckets)
            if not counts.any():
                raise RecipeError(
                    f"select.like: {self.like} has no words; name another file, or the `columns` of its text"
                )
            return counts
        if not seen.any():
            raise RecipeError(
                f"select.like_source: no document with words is of the source `{self.like_source}`; name a source of this "
                "recipe whose documents reach this step"
            )
        return seen

    def _selection(self, keys: pa.Table) -> Decided:
        score, weight, size = (keys[c].to_numpy() for c in ("score", "weight", "size"))
        # equal scores: the document's own draw decides, then its weight
        order = np.lexsort((keys["order"].to_numpy(), -score))
        taken = np.cumsum(size[order])
        limit = self.budget or round((self.share or 0) * int(size.sum()))
        chosen, rest = order[taken <= limit], order[taken > limit]
        rest = np.sort(rest)
        columns = [keys["shard"].take(pa.array(rest)), keys["row"].take(pa.array(rest)), pa.array(weight[rest])]
        share = np.exp(weight - weight.max()) if len(weight) else weight
        effective = float(share.sum() ** 2 / (share**2).sum()) if len(share) else 0.0
        table = {
            "documents": [len(order)],
            "size": [int(size.sum())],
            "selected_documents": [len(chosen)],
            "selected_size": [int(size[chosen].sum())],
            "effective_documents": [effective],
        }
        sizes = pa.table(table, schema=_TABLE) if len(order) else _TABLE.empty_table()
        return Decided(pa.table(columns, schema=_DROPPED), {"selection": sizes})

    def _filled(self, keys: pa.Table) -> Decided:
        """Drops what fills no hole."""
        if not keys.num_rows:
            return Decided(_DROPPED.empty_table(), {"selection": _TABLE.empty_table(), "holes": TABLE.empty_table()})
        which, size = keys["cluster"].to_numpy(), keys["size"].to_numpy()
        about = self._reference()
        k = len(about.shares)
        available = np.bincount(which[which >= 0], size[which >= 0], k)
        have = np.frombuffer(keys["have"].drop_null()[0].as_py(), np.uint64).astype(np.float64)
        limit = (
            None if self.budget is None and self.share is None else self.budget or (self.share or 0) * int(size.sum())
        )
        wanted = apportion(np.append(about.shares, 0.0), have, np.append(available, 0.0), limit)[:k]
        # of each topic the first by score, and of equal scores by the document's own draw
        order = np.lexsort((keys["order"].to_numpy(), -keys["score"].to_numpy(), which))
        sorted_size, of = size[order], which[order]
        before = np.cumsum(sorted_size) - sorted_size
        first = np.searchsorted(of, of)
        within = before - before[first] + sorted_size
        taken = (of >= 0) & (within <= np.append(wanted, 0.0)[of] + 1e-6)
        chosen, gone = order[taken], np.sort(order[~taken])
        columns = [keys[c].take(pa.array(gone)) for c in ("shard", "row", "weight")]
        got = np.bincount(which[chosen], size[chosen], k)
        holes = [np.arange(k, dtype=np.int32), about.examples, about.shares, have[:k], available, got]
        table = pa.table([pa.array(c).cast(f.type) for c, f in zip(holes, TABLE, strict=True)], schema=TABLE)
        sums = [[len(order)], [int(size.sum())], [len(chosen)], [int(size[chosen].sum())], [float(len(chosen))]]
        return Decided(
            pa.table(columns, schema=_DROPPED),
            {"selection": pa.table(sums, schema=_TABLE), "holes": table},
        )

    def apply(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table) -> Applied:
        at = np.searchsorted(rows, decisions["row"].to_numpy()).astype(np.int64)
        return Applied.without(batch, at, ["not-selected"] * len(at), decisions["weight"].to_pylist())

    def _pool(self, batch: pa.RecordBatch) -> np.ndarray:
        """bool [n]: which documents are not the target's."""
        if self.have:
            mine = pc.is_in(batch.column("source"), pa.array(self.have, pa.string()))
            return pc.invert(mine).to_numpy(zero_copy_only=False).astype(np.bool_)
        if self.like_source is None:
            return np.ones(batch.num_rows, np.bool_)
        return pc.not_equal(batch.column("source"), self.like_source).to_numpy(zero_copy_only=False).astype(np.bool_)


def _log_ratio(target: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """log p - log q of each bucket, float64 [buckets]. One is added to each count, so that no share is 0."""
    p, q = target.astype(np.float64) + 1, pool.astype(np.float64) + 1
    return np.asarray(np.log(p / p.sum()) - np.log(q / q.sum()))


@functools.lru_cache(8)
def _counts_of_file(path: str, digest: str, columns: tuple[str, ...], order: int, buckets: int) -> np.ndarray:
    """N-gram counts of a file; `digest` keeps a changed file from being taken for the one that was read before."""
    counts = np.zeros(buckets, np.uint64)
    for texts in read_items(path, columns).texts:
        counts += ngram_counts(texts, order, buckets)
    return counts
