"""A model that a group learns from a sample of the corpus: vectors of words, and centres of clusters.

    round 0   documents are counted
    round 1   a sample travels to one task, which learns; all shards get the model (`Group.common`)

A document is in the sample if a hash of its id is below a bound that follows from the count. So the sample, and all that is learned
from it, is the same for any sharding, order of files and number of workers. Only the beginnings of texts travel.
"""

from __future__ import annotations

import abc
import io
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from corpusmill.transforms.base import Decided, Group
from corpusmill.transforms.embed.hierarchy import two_levels
from corpusmill.transforms.embed.opened import embed_with
from corpusmill.transforms.embed.rarity import places, rarity, sizes_of
from corpusmill.transforms.embed.sampling import chance
from corpusmill.transforms.embed.vectors import WordVectors, train
from corpusmill.transforms.generate.step import ModelStep
from corpusmill.transforms.hashing import U, hash64, hash_text, mix64_array

HEAD = 2_000
"""Characters of a sampled text that travel."""
_COUNTED = pa.schema([("key", pa.uint64()), ("row", pa.uint32()), ("documents", pa.int64())])
_BOUND = pa.schema([("shard", pa.uint32()), ("row", pa.uint32()), ("bound", pa.uint64()), ("documents", pa.int64())])
_SAMPLE = pa.schema(
    [
        ("key", pa.uint64()),
        ("row", pa.uint32()),
        ("order", pa.uint64()),
        ("documents", pa.int64()),
        ("text", pa.string()),
    ]
)
_MODEL = pa.schema([("shard", pa.uint32()), ("row", pa.uint32()), ("model", pa.large_binary())])

_OPEN: OrderedDict[int, Model] = OrderedDict()
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Model:
    """What was learned. words: None where vectors come from a model of the user's; centres: int8 [k, d] of the finest clusters;
    groups: int32 [k], the coarse cluster that each belongs to; documents: of the whole corpus; rarity: float64 [k], see
    `corpusmill.transforms.embed.rarity`, or none where the step does not ask; sizes: int64 [k], documents of the sample."""

    words: WordVectors | None
    centres: np.ndarray
    groups: np.ndarray
    documents: int
    rarity: np.ndarray
    sizes: np.ndarray

    def packed(self) -> bytes:
        """The same bytes for the same model."""
        arrays = [self.centres, self.groups, np.array([self.documents]), self.rarity, self.sizes]
        if self.words is not None:
            w = self.words
            arrays += [w.words, w.vectors, w.weights, np.array([w.unknown])]
        sink = io.BytesIO()
        for array in arrays:
            np.lib.format.write_array(sink, np.ascontiguousarray(array), allow_pickle=False)
        return sink.getvalue()

    @classmethod
    def unpacked(cls, data: bytes) -> Model:
        """What `packed` wrote."""
        source, arrays = io.BytesIO(data), []
        while source.tell() < len(data):
            arrays.append(np.lib.format.read_array(source, allow_pickle=False))
        words = WordVectors(arrays[5], arrays[6], arrays[7], int(arrays[8][0])) if len(arrays) > 5 else None
        return cls(words, arrays[0], arrays[1], int(arrays[2][0]), arrays[3], arrays[4])


class Learned(ModelStep, Group):
    """Base of the groups that embed documents. Subclasses say what they learn beside word vectors (`learn`), and which round
    comes behind the two of the sample."""

    rounds: ClassVar[int] = 2
    common: ClassVar[frozenset[int]] = frozenset({0, 1})
    specifications: ClassVar[tuple[str, ...]] = ("vectors",)
    pair_share: ClassVar[int] = 0
    """Weight of pairs of neighbours, in 16ths of that of words."""

    vectors: str | None = Field(
        None,
        min_length=1,
        description="A model of vectors: `static:FOLDER` opens a model2vec folder, `static:wordllama` that package's vectors, "
        "`embed:FOLDER` a sentence-transformers or transformers folder. Without one, vectors are trained on the corpus.",
    )
    dims: int = Field(256, ge=64, le=1024, multiple_of=64, description="Dimensions of vectors trained on the corpus.")
    sample: int = Field(
        16_384,
        ge=64,
        le=1_000_000,
        description="Documents, drawn by their ids, that vectors and clusters are learned from.",
    )
    seed: int = Field(1, ge=0, description="Seed of the sample and of the first centres of clusters.")

    @abc.abstractmethod
    def clusters(self, documents: int) -> tuple[int, int]:
        """How many (coarse, fine) clusters a corpus of so many documents is cut into; (0, 0) for none."""

    def keys(self, rnd: int, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        if rnd == 0:
            if not batch.num_rows:
                return pa.RecordBatch.from_pylist([], _COUNTED)
            row = {"key": 0, "row": int(rows[0]), "documents": batch.num_rows}
            return pa.RecordBatch.from_pylist([row], _COUNTED)
        if rnd == 1:
            return self._sampled(batch, rows, decisions)
        raise TypeError(f"{self.name} has no round {rnd}")

    def decide(self, rnd: int, keys: pa.Table) -> Decided:
        if rnd == 0:
            if not keys.num_rows:
                return Decided(_BOUND.empty_table())
            count = int(pc.sum(keys["documents"]).as_py())
            bound = chance(count, self.sample)
            return Decided(pa.table([[0], [0], pa.array([bound], pa.uint64()), [count]], schema=_BOUND))
        if not keys.num_rows:
            return Decided(_MODEL.empty_table())
        return Decided(pa.table([[0], [0], pa.array([self._learned(keys).packed()], pa.large_binary())], schema=_MODEL))

    def _sampled(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        if not batch.num_rows or decisions is None or not decisions.num_rows:
            return pa.RecordBatch.from_pylist([], _SAMPLE)
        order = mix64_array(hash64(batch.column("id")) ^ U(hash_text(f"sample\0{self.seed}")))
        chosen = np.flatnonzero(order <= U(decisions["bound"][0].as_py()))
        _, first = np.unique(order[chosen], return_index=True)
        chosen = chosen[np.sort(first)]
        texts = pc.utf8_slice_codeunits(batch.column("text").take(pa.array(chosen)).fill_null(""), 0, HEAD)
        count = np.full(len(chosen), decisions["documents"][0].as_py(), np.int64)
        columns = [np.zeros(len(chosen), np.uint64), rows[chosen].astype(np.uint32), order[chosen], count, texts]
        return pa.RecordBatch.from_arrays(
            [c if isinstance(c, pa.Array) else pa.array(c) for c in columns], schema=_SAMPLE
        )

    def _learned(self, keys: pa.Table) -> Model:
        order = keys["order"].to_numpy()
        _, first = np.unique(order, return_index=True)  # documents of equal id count once
        keys = keys.take(pa.array(first)).combine_chunks()
        texts = keys["text"].combine_chunks()
        words = train(texts, self.dims) if self.vectors is None else None
        documents = int(keys["documents"][0].as_py())
        coarse, fine = self.clusters(documents)
        if not fine:
            none = np.zeros((0, self.dims), np.int8)
            return Model(words, none, np.zeros(0, np.int32), documents, np.zeros(0), np.zeros(0, np.int64))
        vectors = self.embed(texts, words)
        centres, groups = two_levels(vectors, keys["order"].to_numpy(), coarse, fine, self.seed)
        which = places(vectors, centres)
        bits = rarity(texts, which, len(centres)) if self.wants_rarity() else np.zeros(0)
        return Model(words, centres, groups, documents, bits, sizes_of(which, len(centres)))

    def wants_rarity(self) -> bool:
        """Whether the model says how rare the words of each cluster are."""
        return False

    def embed(self, texts: pa.Array, words: WordVectors | None) -> np.ndarray:
        """Vectors of texts: int8 [n, d]."""
        if self.vectors is not None:
            return embed_with(self.vectors, texts)
        return np.zeros((len(texts), self.dims), np.int8) if words is None else words.embed(texts, self.pair_share)

    def model(self, decisions: pa.Table) -> Model | None:
        """The model in the decisions of round 1; None for a corpus without documents. Kept for the batches to come."""
        if not decisions.num_rows:
            return None
        data = decisions["model"][0].as_py()
        key = hash((self.name, data))
        with _LOCK:
            if key not in _OPEN:
                _OPEN[key] = Model.unpacked(data)
                while len(_OPEN) > 4:
                    _OPEN.popitem(last=False)
            return _OPEN[key]
