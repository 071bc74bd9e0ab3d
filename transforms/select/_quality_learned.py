"""The step `quality` where its scorer is learnt in the run.

    round 0   documents to be like, and to be unlike, are counted
    round 1   n-gram counts of a sample of both travel to one task, which trains; all shards get the scorer (`Group.common`)
    round 2   scores meet by group, verdicts go back, as with a scorer that was there before

A document is in the sample if a hash of its text is below a bound that follows from the count, so the scorer is the same for any
sharding, order of files and number of workers.
"""

from __future__ import annotations

import functools
import json
import os
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.transforms.base import Decided
from corpusmill.transforms.decontaminate.evaluation import read_items
from corpusmill.transforms.embed.sampling import chance
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.hashing import U, hash64, hash_text, mix64_array
from corpusmill.transforms.select._features import Bags, Grams, bags
from corpusmill.transforms.select._linear import Scorer, unpacked
from corpusmill.transforms.select._measure import checked, measured, overlap
from corpusmill.transforms.select._quality_fields import is_file
from corpusmill.transforms.select._quality_ranked import RankedQuality
from corpusmill.transforms.select._scorers import rounded
from corpusmill.transforms.select._train import LIKE, UNLIKE, Training, calibrated_logits, fit, held_out_by

_COUNTED = pa.schema({"key": pa.uint64(), "row": pa.uint32(), "like": pa.int64(), "unlike": pa.int64()})
_BOUND = pa.schema({"shard": pa.uint32(), "row": pa.uint32(), "like": pa.uint64(), "unlike": pa.uint64()})
_SAMPLE = pa.schema(
    {
        "key": pa.uint64(),
        "row": pa.uint32(),
        "label": pa.int8(),
        "hash": pa.uint64(),
        "slots": pa.list_(pa.uint32()),
        "counts": pa.list_(pa.uint16()),
    }
)
_MODEL = pa.schema({"shard": pa.uint32(), "row": pa.uint32(), "model": pa.large_binary()})
_CARD = pa.schema({"column": pa.string(), "card": pa.string()})
NOBODY = -1
"""Label of the row that tells the task that trains that there are documents."""


class LearnedQuality(RankedQuality):
    """`quality` with `like` and `unlike`."""

    rounds: ClassVar[int] = 3
    common: ClassVar[frozenset[int]] = frozenset({0, 1})

    @property
    def _kinds(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return self.like, self.unlike

    def keys(self, rnd: int, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        if rnd == 0:
            if not batch.num_rows:
                return pa.RecordBatch.from_pylist([], _COUNTED)
            like, unlike = (int(mask.sum()) for mask in self._masks(batch))
            row = {"key": 0, "row": int(rows[0]), "like": like, "unlike": unlike}
            return pa.RecordBatch.from_pylist([row], _COUNTED)
        if rnd == 1:
            return self._sampled(batch, rows, decisions)
        if decisions is None or not decisions.num_rows or not batch.num_rows:
            return super().keys(rnd, batch.slice(0, 0), rows[:0], None)
        scorer = _unpacked(decisions["model"][0].as_py())
        chances, odds = rounded(scorer.scored(batch.column("text"), 0))
        return self.sent(batch, rows, (chances[:, None], odds[:, None]), self._masks(batch)[0])

    def decide(self, rnd: int, keys: pa.Table) -> Decided:
        if rnd == 2:
            return super().decide(rnd, keys)
        if not keys.num_rows:
            return Decided((_BOUND if rnd == 0 else _MODEL).empty_table())
        return self._bounds(keys) if rnd == 0 else self._learned(keys.combine_chunks())

    def _masks(self, batch: pa.RecordBatch) -> list[np.ndarray]:
        """bool [n] each: documents of sources to be like, and to be unlike."""
        named = [pa.array([n for n in names if not is_file(n)], pa.string()) for names in self._kinds]
        source = batch.column("source")
        return [pc.is_in(source, names).to_numpy(zero_copy_only=False) for names in named]

    def _bounds(self, keys: pa.Table) -> Decided:
        counts = [int(pc.sum(keys[name]).as_py()) for name in (LIKE, UNLIKE)]
        bounds = [chance(n, self.sample) for n in counts]
        columns = [[0], [0], *([b] for b in bounds)]
        return Decided(pa.table([pa.array(c, f.type) for c, f in zip(columns, _BOUND)], schema=_BOUND))

    def _drawn(self, hashes: np.ndarray) -> np.ndarray:
        """The place of each text in the draw, uint64."""
        return mix64_array(hashes ^ U(hash_text(f"quality\0{self.seed}")))

    def _sampled(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        if not batch.num_rows or decisions is None or not decisions.num_rows:
            return pa.RecordBatch.from_pylist([], _SAMPLE)
        text = batch.column("text").fill_null("")
        hashes = hash64(text)
        draws = self._drawn(hashes)
        parts = [pa.RecordBatch.from_pylist([{"key": 0, "row": int(rows[0]), "label": NOBODY}], _SAMPLE)]
        for label, (name, mask) in enumerate(zip((LIKE, UNLIKE), self._masks(batch))):
            at = np.flatnonzero(mask & (draws <= U(decisions[name][0].as_py())))
            taken = batch.take(pa.array(at))
            if label == 0 and len(at):
                checked(taken, self.evaluation, "quality.like")
            given = bags(taken.column("text").fill_null(""), self._grams)
            offsets = given.offsets.astype(np.int32)
            columns = [
                pa.array(np.zeros(len(at), np.uint64)),
                pa.array(rows[at].astype(np.uint32)),
                pa.array(np.full(len(at), label, np.int8)),
                pa.array(hashes[at]),
                pa.ListArray.from_arrays(offsets, pa.array(given.slots)),
                pa.ListArray.from_arrays(offsets, pa.array(given.counts)),
            ]
            parts.append(pa.RecordBatch.from_arrays(columns, schema=_SAMPLE))
        return pa.Table.from_batches(parts).combine_chunks().to_batches()[0]

    @property
    def _grams(self) -> Grams:
        return Grams(self.ngram, self.buckets)

    def _learned(self, keys: pa.Table) -> Decided:
        """The scorer of all sampled documents, with its card as a side table."""
        keys = keys.filter(pc.not_equal(keys["label"], NOBODY)).combine_chunks()
        given, hashes, labels = [], [], []
        if keys.num_rows:
            lists = keys["slots"].combine_chunks()
            given.append(
                Bags(
                    lists.offsets.to_numpy().astype(np.int64),
                    lists.values.to_numpy(),
                    keys["counts"].combine_chunks().values.to_numpy(),
                )
            )
            hashes.append(keys["hash"].to_numpy())
            labels.append(keys["label"].to_numpy().astype(np.int64))
        for label, names in enumerate(self._kinds):
            for path in (n for n in names if is_file(n)):
                texts = self._of_file(path, label)
                given.append(bags(texts, self._grams))
                hashes.append(hash64(texts))
                labels.append(np.full(len(texts), label, np.int64))
        joined = Bags.joined(given)
        hashed = np.concatenate([np.zeros(0, np.uint64), *hashes])
        which = np.concatenate([np.zeros(0, np.int64), *labels])
        self._enough(which, hashed)
        training = Training(self._grams)
        scorer = fit(joined, hashed, which, (LIKE, UNLIKE), training)
        held = np.flatnonzero(held_out_by(hashed))
        card = {
            "learnt_from": {LIKE: int((which == 0).sum()), UNLIKE: int((which == 1).sum())},
            # names without folders: the table is the same wherever the recipe lies
            **{name: [os.path.basename(n) for n in names] for name, names in zip((LIKE, UNLIKE), self._kinds)},
            "held_out": measured(calibrated_logits(scorer, joined, held), which[held]),
        }
        model = pa.table([[0], [0], pa.array([scorer.packed()], pa.large_binary())], schema=_MODEL)
        said = pa.table([[self.column], [json.dumps(card, sort_keys=True)]], schema=_CARD)
        return Decided(model, {"scorer": said})

    def _of_file(self, path: str, label: int) -> pa.Array:
        """The sampled texts of a file."""
        items = read_items(path, ())
        texts = pa.concat_arrays(items.texts).fill_null("")
        texts = texts.filter(pc.not_equal(pc.utf8_trim_whitespace(texts), ""))
        if not len(texts):
            raise RecipeError(f"quality.{(LIKE, UNLIKE)[label]}: {path} holds no text; name another file")
        if label == 0 and self.evaluation:
            overlap(texts, items.names, self.evaluation, f"quality.like: {path}")
        hashes = hash64(texts)
        bound = chance(len(texts), self.sample)
        return texts.filter(pa.array(self._drawn(hashes) <= U(bound)))

    def _enough(self, labels: np.ndarray, hashes: np.ndarray) -> None:
        held = held_out_by(hashes)
        for label, (name, entries) in enumerate(zip((LIKE, UNLIKE), self._kinds)):
            found = int((labels == label).sum())
            if not found:
                raise RecipeError(
                    f"quality.{name}: no document that reaches this step is of {', '.join(entries)}; name sources of this "
                    "recipe, or files, with text"
                )
            for side, word in ((held, "held out"), (~held, "left to learn from")):
                if not (labels[side] == label).any():
                    raise RecipeError(
                        f"quality.{name}: of {found} documents none is {word} (one in ten is held out, by a hash of its text); "
                        "give it some dozens"
                    )


@functools.lru_cache(4)
def _unpacked(data: bytes) -> Scorer:
    return unpacked(data, "the scorer that was learnt")
