"""The base of steps that repeat and sample the documents of domains, and shuffle all of them over the shards."""

from __future__ import annotations

import abc
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from corpusmill.transforms.arrow import empty_batch
from corpusmill.transforms.base import Decided, Routed, Stability
from corpusmill.transforms.columns import token_lists, weights, whole_numbers
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.mix._evaluation import SparesEvaluation
from corpusmill.transforms.mix._repeat import repeated
from corpusmill.transforms.random import EPOCH, Keyed

NO_DOMAIN = "(none)"
"""The domain of documents whose column is null."""
RARITY_STEPS = 256
"""Parts of a bit in which rarities are summed, as whole numbers: a sum is the same in any order."""

_PARTS = 1 << 16
"""Parts of a weight of 1 that are told apart in sums."""
_SENT = pa.schema(
    {
        "key": pa.uint64(),
        "row": pa.uint32(),
        "domain": pa.string(),
        "known": pa.bool_(),
        "documents": pa.int64(),
        "bytes": pa.int64(),
        "size": pa.int64(),
        "rarity": pa.int64(),
    }
)
_DECISIONS = pa.schema(
    {
        "shard": pa.uint32(),
        "row": pa.uint32(),
        "domain": pa.string(),
        "epochs": pa.float64(),
        "shards": pa.uint32(),
    }
)
_TABLE = pa.schema(
    {
        "domain": pa.string(),
        "documents": pa.int64(),
        "unit": pa.string(),
        "size": pa.int64(),
        "asked_share": pa.float64(),
        "planned_share": pa.float64(),
        "epochs": pa.float64(),
        "planned_documents": pa.float64(),
        "planned_size": pa.float64(),
    }
)


class Mixing(SparesEvaluation):
    """Base of `mix` and `balance`: sizes of domains travel, each domain gets its epochs, and rows move.

    Subclasses say which domain a document belongs to (`domains`), and how often each is read (`plan`).
    """

    stability: ClassVar[Stability] = "cross"
    refusal: ClassVar[tuple[str, str]] = (
        "shares and epochs follow from the sizes of domains, which every document changes",
        "leave it out and weigh sources in training with fixed `data.weights`; or publish private counts and fix the epochs",
    )
    rounds: ClassVar[int] = 1
    moves: ClassVar[bool] = True

    unit: Literal["documents", "bytes", "tokens"] = Field(
        "bytes",
        description="What sizes, shares and `budget` count: documents, bytes of text, or tokens (`n_tokens`, or the length "
        "of `input_ids`, as the step `tokenize` makes them).",
    )
    max_epochs: float = Field(4.0, gt=0, le=100, description="No domain is read more often than this.")
    budget: int | None = Field(
        None, ge=1, description="Size of the whole mixture, in `unit`; by default that of the domains as they are."
    )
    shards: int | None = Field(None, ge=1, le=100_000, description="Shards to write; by default from `shard_bytes`.")
    shard_bytes: int = Field(64 << 20, ge=1 << 10, description="Text of one shard, where `shards` is not given.")
    weight: str | None = Field(
        None,
        min_length=1,
        description="Column of weights, as `reweight` writes them: a document is read weight / mean weight times as often as "
        "its domain, where the mean is over the size of the domain.",
    )

    def libraries(self) -> tuple[str, ...]:
        return ()

    def _unused(self) -> tuple[str, ...]:
        return (*super()._unused(), *(("weight",) if self.weight is None else ()))

    @abc.abstractmethod
    def columns(self) -> tuple[str, ...]:
        """The columns whose values are domains."""

    @abc.abstractmethod
    def domains(self, batch: pa.RecordBatch) -> pa.Array:
        """The domain of each row: strings without nulls."""

    @abc.abstractmethod
    def plan(self, domains: list[str], sizes: np.ndarray, rarity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(asked shares, expected epochs), float64 [d] each, of domains of `sizes`, int64 [d], and mean `rarity`, float64 [d]."""

    def rarities(self, batch: pa.RecordBatch) -> np.ndarray:
        """How rare the words of each document are, in bits a word: float64 [n]. Zeros where the step does not ask."""
        return np.zeros(batch.num_rows)

    def named(self) -> set[str]:
        """Domains that the fields name, which may be empty today."""
        return set()

    def keys(self, rnd: int, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        if not batch.num_rows:
            return empty_batch(self._sent())
        if EPOCH in batch.schema.names:
            raise RecipeError(
                f"{self.name} writes a column `epoch`, which documents have already; sample once, or drop the column"
            )
        dropped, once = self._apart(batch)
        sizes = self._sizes(batch)
        # evaluation documents that are written have no domain here: they count for the number of shards only
        domains = pc.if_else(pa.array(once), pa.scalar(None, pa.string()), self.domains(batch).cast(pa.string()))
        table = pa.table(
            {
                "domain": domains,
                "bytes": pc.binary_length(batch.column("text")).cast(pa.int64()).fill_null(0),
                "size": pa.array(sizes),
                "rarity": pa.array(np.rint(self.rarities(batch) * RARITY_STEPS).astype(np.int64) * sizes),
                "weighted": pa.array(self._weighted(batch)),
            }
        ).filter(pa.array(~dropped))
        sums = table.group_by("domain", use_threads=False).aggregate(
            [([], "count_all"), *((name, "sum") for name in ("bytes", "size", "rarity", "weighted"))]
        )
        n = sums.num_rows
        columns = {
            "key": np.zeros(n, np.uint64),
            "row": np.full(n, rows[0], np.uint32),
            "domain": sums["domain"].combine_chunks(),
            "known": [any(c in batch.schema.names for c in self.columns())] * n,
            "documents": sums["count_all"].combine_chunks(),
            "bytes": sums["bytes_sum"].combine_chunks(),
            "size": sums["size_sum"].combine_chunks(),
            "rarity": sums["rarity_sum"].combine_chunks(),
            "weighted": sums["weighted_sum"].combine_chunks(),
        }
        arrays = [
            pa.array(columns[f.name], f.type) if not isinstance(columns[f.name], pa.Array) else columns[f.name]
            for f in self._sent()
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self._sent())

    def _sent(self) -> pa.Schema:
        return _SENT if self.weight is None else _SENT.append(pa.field("weighted", pa.int64()))

    def _weighted(self, batch: pa.RecordBatch) -> np.ndarray:
        """Each document's size times its weight in 1/65536, int64 [n]: whole numbers, whose sums depend on no order."""
        if self.weight is None or not batch.num_rows:
            return np.zeros(batch.num_rows, np.int64)
        weight = weights(batch, self.weight, f"{self.name}.weight")
        return np.rint(weight * _PARTS).astype(np.int64) * self._sizes(batch)

    def decide(self, rnd: int, keys: pa.Table) -> Decided:
        if not keys.num_rows:
            return Decided(_DECISIONS.empty_table(), {"mixture": _TABLE.empty_table()}, None)
        given, keys = keys, keys.filter(pc.is_valid(keys["domain"]))
        aside = pc.sum(given.filter(pc.is_null(given["domain"]))["bytes"]).as_py() or 0
        if keys.num_rows and not pc.any(keys["known"]).as_py():
            raise RecipeError(
                f"{self.name}.by: no document has a column `{' or '.join(self.columns())}`; name one that they have, such as source"
            )
        sums = keys.group_by("domain", use_threads=False).aggregate(
            [(c, "sum") for c in ("documents", "bytes", "size", "rarity", *(("weighted",) if self.weight else ()))]
        )
        # a domain that is named and empty today gives nothing; its share goes to the others
        domains = sorted({*sums["domain"].to_pylist(), *self.named()})
        place = pc.index_in(sums["domain"].combine_chunks(), pa.array(domains, pa.string())).to_numpy()
        documents, text, sizes, rarity, weighted = np.zeros((5, len(domains)), np.int64)
        totals = {"documents": documents, "bytes": text, "size": sizes, "rarity": rarity, "weighted": weighted}
        for name, total in totals.items():
            if f"{name}_sum" in sums.column_names:
                total[place] = sums[f"{name}_sum"].to_numpy()
        shares, epochs = self.plan(domains, sizes, rarity / (RARITY_STEPS * np.maximum(sizes, 1)))
        shards = self.shards or max(1, -(-(int((epochs * text).sum()) + aside) // self.shard_bytes))
        planned = epochs * sizes
        columns = [domains, documents, [self.unit] * len(domains), sizes, shares, planned / max(planned.sum(), 1e-300)]
        columns += [epochs, epochs * documents, planned]
        table = pa.table([pa.array(c, f.type) for c, f in zip(columns, _TABLE, strict=True)], schema=_TABLE)
        if self.weight is not None:  # per unit of weight
            epochs = epochs * sizes * float(_PARTS) / np.maximum(weighted, 1)
        # a shard gets decisions about its own domains only; null stands for its evaluation documents, which are written once
        pairs = given.select(["shard", "domain"]).group_by(["shard", "domain"], use_threads=False).aggregate([])
        pairs = pairs.sort_by([("shard", "ascending"), ("domain", "ascending")])
        which = pc.index_in(pairs["domain"], pa.array(domains, pa.string())).fill_null(len(domains)).to_numpy()
        columns = [
            pairs["shard"],
            np.zeros(len(which), np.uint32),
            pairs["domain"],
            np.append(epochs, 1.0)[which],
            np.full(len(which), shards, np.uint32),
        ]
        return Decided(
            pa.table([c if isinstance(c, pa.ChunkedArray) else pa.array(c) for c in columns], schema=_DECISIONS),
            {"mixture": table},
            shards,
        )

    def route(self, batch: pa.RecordBatch, decisions: pa.Table, rng: Keyed) -> Routed:
        domains = self.domains(batch)
        names = decisions["domain"].to_pylist()
        which = (
            pc.index_in(domains, decisions["domain"].combine_chunks())
            .fill_null(len(names))
            .to_numpy(zero_copy_only=False)
        )
        epochs = np.append(decisions["epochs"].to_numpy(), 0.0)[which]
        if self.weight is not None and batch.num_rows:
            epochs = epochs * weights(batch, self.weight, f"{self.name}.weight")
        shards = int(decisions["shards"][0].as_py()) if names else 1
        dropped, once = self._apart(batch)
        epochs = np.where(once, 1.0, epochs)
        routed, source = repeated(self.name, batch, epochs, shards, rng, {"evaluation-split": dropped})
        sizes = self._sizes(batch) if batch.num_rows else np.zeros(0, np.int64)
        details = self._counted(batch, once)
        source = source[~once[source]]
        for unit, amount in {"documents": np.ones(len(source), np.int64), self.unit: sizes[source]}.items():
            sums = np.bincount(which[source], amount, minlength=len(names)).astype(np.int64)
            details |= {f"{unit}:{d}": int(s) for d, s in zip(names, sums) if d is not None}
        return replace(routed, details=details)

    def _sizes(self, batch: pa.RecordBatch) -> np.ndarray:
        """int64 [n], in `unit`."""
        if self.unit == "documents":
            return np.ones(batch.num_rows, np.int64)
        if self.unit == "bytes":
            sizes = pc.binary_length(batch.column("text"))
        elif "n_tokens" in batch.schema.names:
            sizes = whole_numbers(batch, "n_tokens", f"{self.name}.unit")
        elif "input_ids" in batch.schema.names:
            sizes = pc.list_value_length(token_lists(batch, "input_ids", f"{self.name}.unit"))
        else:
            raise RecipeError(
                f"{self.name}.unit: documents have no tokens to count, neither `n_tokens` nor `input_ids`; put `tokenize` before "
                f"`{self.name}`, or count bytes"
            )
        return sizes.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
