"""The base of steps that score documents with an n-gram model: a file's, or one that the run learns.

    round 0   with a model that is learned: counts of n-grams travel, one task estimates, all shards get the model (`Group.common`)
    last      scores travel, and decisions about documents come back

The counts of a batch are added up before they travel, and no text does. What is learned follows from the documents alone that
it is learned from.
"""

from __future__ import annotations

import abc
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from corpusmill.transforms.arrow import empty_batch
from corpusmill.transforms.base import Decided, Group, Stability
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.ngrams._counts import Counts, home, merged, windows
from corpusmill.transforms.ngrams._smoothing import estimate
from corpusmill.transforms.ngrams._symbols import Units, symbols_of
from corpusmill.transforms.ngrams._table import LanguageModel, open_model, parse
from corpusmill.transforms.random import Keyed, uniform_array
from corpusmill.transforms.sources.items import read_items
from corpusmill.transforms.tokens.tokenizer import load_tokenizer

_MODEL = pa.schema([("shard", pa.uint32()), ("row", pa.uint32()), ("model", pa.large_binary())])
_OPEN: OrderedDict[int, LanguageModel] = OrderedDict()
_LOCK = threading.Lock()


class NgramGroup(Group):
    """Base of `perplexity` and `reweight`."""

    stability: ClassVar[Stability] = "cross"
    learns_from_all: ClassVar[bool] = False
    """Whether the model is learned from all documents where nothing else is named."""

    like: str | None = Field(None, min_length=1, description="File whose text the model is learned from.")
    like_source: str | None = Field(
        None, min_length=1, description="Source of the recipe whose documents the model is learned from."
    )
    columns: tuple[str, ...] = Field(("text",), min_length=1, description="Columns of `like` that hold text.")
    order: int = Field(5, ge=2, le=5, description="Longest n-gram of a model that is learned.")
    units: Literal["words", "pieces", "tokens"] | None = Field(
        None,
        description="What a learned model counts: lower-cased words, pieces between white space, or tokens. By default tokens "
        "with a `tokenizer`, else words.",
    )
    tokenizer: str | None = Field(None, min_length=1, description="tokenizer.json whose tokens the model counts.")
    sample: float = Field(
        1.0, gt=0, le=1, description="Share of the documents that the model is learned from, drawn by their ids."
    )
    memory: int = Field(1 << 30, ge=1 << 20, description="Memory of learning in bytes, about; the rest is on disk.")
    seed: int = Field(1, ge=0, description="Seed of the sample.")

    @abc.abstractmethod
    def models(self) -> dict[str, str]:
        """Paths of the models that are named, by the value of the column that chooses among them; "" for one that is for all."""

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        named = [bool(self.models()), self.like is not None, self.like_source is not None]
        if sum(named) > 1 or (sum(named) == 0 and not self.learns_from_all):
            raise ValueError("name one of `model`, `like` and `like_source`")
        if self.units == "tokens" and self.like is not None and self.tokenizer is None:
            raise ValueError("`like` with tokens needs a `tokenizer`")
        if self.units in ("words", "pieces") and self.tokenizer is not None:
            raise ValueError(f"`units: {self.units}` needs no `tokenizer`; leave one of them out")
        return self

    def named_sources(self) -> list[tuple[str, str]]:
        """(field, source) of each source of the recipe that is named."""
        return [] if self.like_source is None else [("like_source", self.like_source)]

    @property
    def learned(self) -> bool:
        """Whether the run learns the model."""
        return not self.models()

    @property
    def rounds(self) -> int:  # type: ignore[override]
        """One, or two where the model is learned."""
        return 2 if self.learned else 1

    @property
    def gathered(self) -> frozenset[int]:  # type: ignore[override]
        """The round of counts."""
        return frozenset({0} if self.learned else ())

    @property
    def common(self) -> frozenset[int]:  # type: ignore[override]
        """The round of counts: its answer is the model."""
        return self.gathered

    def libraries(self) -> tuple[str, ...]:
        return ("unicode",)

    def needs(self) -> tuple[str, ...]:
        return ("tokenizers",) if self.tokenizer else ()

    def files(self) -> list[str]:
        """What the model is, or is learned from."""
        return [p for p in (*self.models().values(), self.like, self.tokenizer) if p is not None]

    def adds_to(self) -> bool:
        return True

    @property
    def counted(self) -> Units:
        """What a learned model counts."""
        return self.units or ("tokens" if self.tokenizer else "words")

    def pool(self, batch: pa.RecordBatch) -> np.ndarray:
        """bool [n]: which documents are scored; those of `like_source` are not."""
        if self.like_source is None:
            return np.ones(batch.num_rows, np.bool_)
        return pc.not_equal(batch.column("source"), self.like_source).to_numpy(zero_copy_only=False).astype(np.bool_)

    def keys(self, rnd: int, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        if self.learned and rnd == 0:
            return self._sent_counts(batch, rows)
        return self.scores(batch, rows, decisions)

    @abc.abstractmethod
    def scores(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        """The rows of the last round."""

    @abc.abstractmethod
    def decide_scores(self, keys: pa.Table) -> Decided:
        """The decisions of the last round."""

    def _schema(self) -> pa.Schema:
        return pa.schema(
            [("key", pa.uint64()), ("row", pa.uint32()), ("gram", pa.binary(4 * self.order)), ("count", pa.uint32())]
        )

    def _sent_counts(self, batch: pa.RecordBatch, rows: np.ndarray) -> pa.RecordBatch:
        """The n-grams of the documents that are learned from, each once."""
        if self.like is not None or not batch.num_rows:
            return empty_batch(self._schema())
        chosen = ~self.pool(batch) if self.like_source is not None else np.ones(batch.num_rows, np.bool_)
        if self.sample < 1:
            chosen &= uniform_array(Keyed(self.seed, self.name).keys(batch)) < self.sample
        taken = batch.filter(pa.array(chosen))
        if not taken.num_rows:
            return empty_batch(self._schema())
        found = windows(*symbols_of(taken, self.counted, self.tokenizer, self.name), self.order)
        found = merged(np.column_stack([found, np.ones(len(found), np.uint32)]))
        slices = home(found[:, :-1]).astype(np.uint64)
        columns = [slices, np.full(len(found), rows[0], np.uint32), _packed(found[:, :-1]), found[:, -1]]
        return pa.RecordBatch.from_arrays(
            [c if isinstance(c, pa.Array) else pa.array(c) for c in columns], schema=self._schema()
        )

    def decide(self, rnd: int, keys: pa.Table) -> Decided:
        if not (self.learned and rnd == 0):
            return self.decide_scores(keys)
        schema = pa.schema([("shard", pa.uint32()), ("row", pa.uint32()), *list(self._schema())[2:]])
        found = merged(self._unpacked(keys)) if keys.num_rows else np.zeros((0, self.order + 1), np.uint32)
        zeros = pa.array(np.zeros(len(found), np.uint32))
        return Decided(pa.table([zeros, zeros, _packed(found[:, :-1]), pa.array(found[:, -1])], schema=schema))

    def _unpacked(self, table: pa.Table) -> np.ndarray:
        """uint32 [m, order + 1] of the columns `gram` and `count`."""
        parts = [
            np.frombuffer(c.buffers()[1], np.uint32)[c.offset * self.order :][: len(c) * self.order]
            for c in table["gram"].chunks
        ]
        grams = np.concatenate(parts).reshape(-1, self.order) if parts else np.zeros((0, self.order), np.uint32)
        return np.column_stack([grams, table["count"].to_numpy()]).astype(np.uint32)

    def gather(self, rnd: int, decisions: Iterable[pa.Table], shard_rows: np.ndarray) -> pa.Table:
        """The model, in one row."""
        with tempfile.TemporaryDirectory(prefix="corpusmill-ngrams-") as folder:
            counts = Counts(self.order, Path(folder), self.memory)
            if self.like is not None:
                self._count_file(counts)
            for table in decisions:
                counts.add_rows(self._unpacked(table))
            path = str(Path(folder) / "model")
            digest = load_tokenizer(self.tokenizer).digest if self.counted == "tokens" and self.tokenizer else ""
            try:
                estimate(counts, path, self.counted, digest, {})
            except ValueError as error:
                if not shard_rows.sum():
                    return _MODEL.empty_table()
                raise RecipeError(f"{self._learned_from()}: {error}") from None
            data = Path(path).read_bytes()
        return pa.table([[0], [0], pa.array([data], pa.large_binary())], schema=_MODEL)

    def _learned_from(self) -> str:
        if self.like is not None:
            return f"{self.name}.like: {self.like}"
        return f"{self.name}.like_source: {self.like_source}" if self.like_source else self.name

    def _count_file(self, counts: Counts) -> None:
        table = read_items(str(self.like), self.columns).table
        for name in self.columns:
            for chunk in table[name].cast(pa.string()).chunks:
                for begin in range(0, len(chunk), 4096):
                    texts = chunk.slice(begin, 4096)
                    counts.add(*symbols_of(pa.record_batch({"text": texts}), self.counted, self.tokenizer, self.name))

    def model_of(self, decisions: pa.Table | None) -> dict[str, LanguageModel]:
        """The models by the value that chooses among them: those that are named, or the learned one as ""."""
        if not self.learned:
            return {value: open_model(path, self.tokenizer) for value, path in self.models().items()}
        if decisions is None or not decisions.num_rows:
            return {}
        data = decisions["model"].combine_chunks()[0].as_buffer()
        found = np.frombuffer(data, np.uint8)
        key = hash((self.name, bytes(found[: 1 << 16]), len(found)))
        with _LOCK:
            if key not in _OPEN:
                _OPEN[key] = parse(self.name, found.copy())
                while len(_OPEN) > 2:
                    _OPEN.popitem(last=False)
            return {"": _OPEN[key]}

    def logs(self, batch: pa.RecordBatch, model: LanguageModel, where: str) -> tuple[np.ndarray, np.ndarray]:
        """(log probability float64 [n], symbols int64 [n]) of each document.

        Raises:
            RecipeError: the model counts tokens of another tokenizer.
        """
        head = model.head
        if head.units == "tokens" and head.tokenizer and self.tokenizer:
            known = load_tokenizer(self.tokenizer).digest == head.tokenizer
            if not known:
                raise RecipeError(
                    f"{where}: the model was trained with another tokenizer than {self.tokenizer}; name that one"
                )
        offsets, symbols = symbols_of(batch, head.units, self.tokenizer, self.name)
        return model.log_probabilities(offsets, symbols), np.diff(offsets)


def _packed(grams: np.ndarray) -> pa.Array:
    """n-grams uint32 [m, order] as binary values of four bytes a symbol."""
    data = np.ascontiguousarray(grams, "<u4")
    kind = pa.binary(4 * grams.shape[1])
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(data), [None, pa.py_buffer(data.tobytes())])


def added(columns: list[Any], schema: pa.Schema) -> pa.RecordBatch:
    """Arrays, of numpy or Arrow, as a batch of `schema`."""
    arrays = [c if isinstance(c, pa.Array) else pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
