"""Mixes domains at asked shares into shards that each hold the whole mixture."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from corpusmill.transforms.arrow import empty_batch
from corpusmill.transforms.base import Applied, Decided, Group, Routed, Stability
from corpusmill.transforms.columns import labels, token_lists, whole_numbers
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.hashing import GOLDEN, U, mix64_array
from corpusmill.transforms.mix.epochs import spread, tempered, uniform
from corpusmill.transforms.noise.copies import EVALUATION_SPLITS
from corpusmill.transforms.random import EPOCH, Keyed, uniform_array

NO_DOMAIN = "(none)"
"""The domain of documents whose column is null."""

_SENT = pa.schema(
    {
        "key": pa.uint64(),
        "row": pa.uint32(),
        "domain": pa.string(),
        "known": pa.bool_(),
        "documents": pa.int64(),
        "bytes": pa.int64(),
        "size": pa.int64(),
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


class Mix(Group):
    """Repeats and samples the documents of each domain to an asked mixture, and shuffles all of them over the shards.

    Source: temperature as in Raffel et al. 2020 (T5), section 3.5.2; UniMax: Chung et al. 2023, algorithm 1; that up to 4
    epochs are nearly as good as fresh text: Muennighoff et al. 2023, section 5.
    Domain d of size n_d (documents, bytes of text or tokens) gets the share p_d of `budget` B and so e_d = B p_d / n_d
    epochs, at most `max_epochs`; what capped domains leave over goes to the others in proportion to p. p is: `weights`,
    scaled to sum 1; or equal (`unimax`); or min(n, cap)^(1/temperature), which at temperature 1 is the natural mixture.
    Without `budget`, B is the size of all domains of which any is asked. Each document is written floor(e_d) times, and once
    more with probability e_d - floor(e_d); its copies have the same id and `epoch` 0, 1, ... (int32). A document with no
    copy is dropped: `not-sampled`; one of an evaluation split: `evaluation-split`. Deduplicate before: behind this step,
    repeats are duplicates. Shard and place of (id, epoch) are keyed
    draws, so every shard is a sample of the whole mixture and the order is one shuffle. A side table `mixture` holds sizes,
    asked and planned shares and epochs of each domain; the funnel counts what was written (`corpusmill show`).

    Raises:
        RecipeError: `weights` leaves a domain unnamed; no document has the column; tokens are asked of text without tokens.

    >>> Mix(weights={"web": 3, "code": 1}).shares(["code", "web"], np.array([10, 10]))
    array([0.25, 0.75])
    """

    name: ClassVar[str] = "mix"
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = "cross"
    refusal: ClassVar[tuple[str, str]] = (
        "shares and epochs follow from the sizes of domains, which every document changes",
        "leave it out and weigh sources in training with fixed `data.weights`; or publish private counts and fix the epochs",
    )
    rounds: ClassVar[int] = 1
    moves: ClassVar[bool] = True

    by: str = Field("source", min_length=1, description="Column whose values are the domains.")
    unit: Literal["documents", "bytes", "tokens"] = Field(
        "bytes",
        description="What sizes, shares and `budget` count: documents, bytes of text, or tokens (`n_tokens`, or the length "
        "of `input_ids`, as the step `tokenize` makes them).",
    )
    weights: dict[str, float] | None = Field(
        None,
        description="Share of each domain, scaled to sum 1; every domain must be named, 0 leaves one out. "
        "The share of a domain without documents goes to the others.",
    )
    temperature: float = Field(
        1.0, gt=0, le=1000, description="Shares in proportion to size^(1/temperature): 1 natural, more is flatter."
    )
    cap: int | None = Field(None, ge=1, description="With temperature: a larger domain counts as of this size.")
    unimax: bool = Field(False, description="Equal shares, as far as `max_epochs` lets small domains have them.")
    max_epochs: float = Field(4.0, gt=0, le=100, description="No domain is read more often than this.")
    budget: int | None = Field(
        None, ge=1, description="Size of the whole mixture, in `unit`; by default that of the domains as they are."
    )
    shards: int | None = Field(None, ge=1, le=100_000, description="Shards to write; by default from `shard_bytes`.")
    shard_bytes: int = Field(64 << 20, ge=1 << 10, description="Text of one shard, where `shards` is not given.")
    skip_splits: tuple[str, ...] = Field(
        EVALUATION_SPLITS,
        description="Documents whose column `split` has one of these values are dropped: they are not for training. "
        "An empty list mixes them like all others.",
    )

    @model_validator(mode="after")
    def _one_rule(self) -> Mix:
        rules = [self.weights is not None, self.unimax, self.temperature != 1.0 or self.cap is not None]
        if sum(rules) > 1:
            raise ValueError("`weights`, `unimax` and `temperature` (with `cap`) each set the shares; give one of them")
        given = [1.0] if self.weights is None else list(self.weights.values())
        if any(not 0 <= w < float("inf") for w in given) or not sum(given) > 0:
            raise ValueError("`weights`: shares are numbers from 0, and one at least is above 0")
        return self

    def libraries(self) -> tuple[str, ...]:
        return ()

    def shares(self, domains: list[str], sizes: np.ndarray) -> np.ndarray:
        """Asked shares float64 [d] of domains of `sizes`.

        Raises:
            RecipeError: `weights` does not name one of them.
        """
        if self.weights is None:
            return uniform(sizes) if self.unimax else tempered(sizes, self.temperature, self.cap)
        if names := [d for d in domains if d not in self.weights]:
            raise RecipeError(
                f"mix.weights does not name the domain {', '.join(map(repr, names[:5]))}; the domains (values of `{self.by}`) "
                f"are: {', '.join(domains[:20])}. Give each a weight, 0 to leave it out."
            )
        p = np.array([self.weights[d] for d in domains], np.float64)
        return p / p.sum() if p.any() else p

    def keys(self, rnd: int, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        if not batch.num_rows:
            return empty_batch(_SENT)
        if EPOCH in batch.schema.names:
            raise RecipeError("mix writes a column `epoch`, which documents have already; mix once, or drop the column")
        trained = pa.array(~self._evaluation(batch))
        table = pa.table(
            {
                "domain": self._domains(batch),
                "bytes": pc.binary_length(batch.column("text")).cast(pa.int64()).fill_null(0),
                "size": pa.array(self._sizes(batch)),
            }
        ).filter(trained)
        sums = table.group_by("domain", use_threads=False).aggregate(
            [([], "count_all"), ("bytes", "sum"), ("size", "sum")]
        )
        n = sums.num_rows
        columns = {
            "key": np.zeros(n, np.uint64),
            "row": np.full(n, rows[0], np.uint32),
            "domain": sums["domain"].combine_chunks(),
            "known": [self.by in batch.schema.names] * n,
            "documents": sums["count_all"].combine_chunks(),
            "bytes": sums["bytes_sum"].combine_chunks(),
            "size": sums["size_sum"].combine_chunks(),
        }
        arrays = [
            pa.array(columns[f.name], f.type) if not isinstance(columns[f.name], pa.Array) else columns[f.name]
            for f in _SENT
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=_SENT)

    def decide(self, rnd: int, keys: pa.Table) -> Decided:
        if not keys.num_rows:
            return Decided(_DECISIONS.empty_table(), {"mixture": _TABLE.empty_table()}, None)
        if not pc.any(keys["known"]).as_py():
            raise RecipeError(
                f"mix.by: no document has a column `{self.by}`; name a column that they have, such as source"
            )
        sums = keys.group_by("domain", use_threads=False).aggregate(
            [(c, "sum") for c in ("documents", "bytes", "size")]
        )
        # a domain that is named and empty today gives nothing; its share goes to the others
        domains = sorted({*sums["domain"].to_pylist(), *(self.weights or {})})
        place = pc.index_in(sums["domain"].combine_chunks(), pa.array(domains, pa.string())).to_numpy()
        documents, text, sizes = np.zeros((3, len(domains)), np.int64)
        for total, name in ((documents, "documents"), (text, "bytes"), (sizes, "size")):
            total[place] = sums[f"{name}_sum"].to_numpy()
        shares = self.shares(domains, sizes)
        epochs = self.epochs(sizes, shares)
        shards = self.shards or max(1, -(-int((epochs * text).sum()) // self.shard_bytes))
        planned = epochs * sizes
        columns = [domains, documents, [self.unit] * len(domains), sizes, shares, planned / max(planned.sum(), 1e-300)]
        columns += [epochs, epochs * documents, planned]
        table = pa.table([pa.array(c, f.type) for c, f in zip(columns, _TABLE, strict=True)], schema=_TABLE)
        # a shard gets decisions about its own domains only
        pairs = keys.select(["shard", "domain"]).group_by(["shard", "domain"], use_threads=False).aggregate([])
        pairs = pairs.sort_by([("shard", "ascending"), ("domain", "ascending")])
        which = pc.index_in(pairs["domain"], pa.array(domains, pa.string())).to_numpy()
        columns = [
            pairs["shard"],
            np.zeros(len(which), np.uint32),
            pairs["domain"],
            epochs[which],
            np.full(len(which), shards, np.uint32),
        ]
        return Decided(
            pa.table([c if isinstance(c, pa.ChunkedArray) else pa.array(c) for c in columns], schema=_DECISIONS),
            {"mixture": table},
            shards,
        )

    def epochs(self, sizes: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Expected epochs float64 [d]."""
        natural = self.weights is None and not self.unimax and self.temperature == 1.0 and self.cap is None
        if natural and (self.budget is None or not sizes.sum()):
            return np.full(len(sizes), min(1.0, self.max_epochs))  # a shuffle, which keeps documents without size, too
        asked = float(sizes[shares > 0].sum()) if self.budget is None else float(self.budget)
        return spread(sizes, shares, asked, self.max_epochs)

    def route(self, batch: pa.RecordBatch, decisions: pa.Table, rng: Keyed) -> Routed:
        domains = self._domains(batch)
        names = decisions["domain"].to_pylist()
        which = (
            pc.index_in(domains, decisions["domain"].combine_chunks())
            .fill_null(len(names))
            .to_numpy(zero_copy_only=False)
        )
        epochs = np.append(decisions["epochs"].to_numpy(), 0.0)[which]
        shards = int(decisions["shards"][0].as_py()) if names else 1
        evaluation = self._evaluation(batch)
        keys = rng.keys(batch)
        whole = np.floor(epochs)
        times = (whole + (uniform_array(keys, 0) < epochs - whole)).astype(np.int64)
        times[evaluation] = 0
        source = np.repeat(np.arange(batch.num_rows), times)
        copy = np.arange(len(source)) - np.repeat(np.cumsum(times) - times, times)
        length = pc.binary_length(batch.column("text")).fill_null(0).to_numpy(zero_copy_only=False)
        if int(length[source].sum(dtype=np.int64)) > np.iinfo(np.int32).max:
            raise RecipeError(
                "mix: the repeats of one batch take more than 2 GiB; lower `max_epochs`, or noise's `copies`"
            )
        mixed = batch.take(pa.array(source)).append_column(EPOCH, pa.array(copy, pa.int32()))
        streams = keys[source]
        to = ((_draws(streams, 2 * copy + 1) >> U(32)) * U(shards)) >> U(32)
        gone = np.flatnonzero(times == 0)
        reasons = np.where(evaluation[gone], "evaluation-split", "not-sampled").tolist()
        values = np.where(evaluation[gone], np.nan, epochs[gone]).tolist()
        lost = Applied(batch.slice(0, 0), gone, reasons, values, [None] * len(gone))
        sizes = self._sizes(batch) if batch.num_rows else np.zeros(0, np.int64)
        details: dict[str, int] = {}
        for unit, amount in {"documents": np.ones(len(source), np.int64), self.unit: sizes[source]}.items():
            sums = np.bincount(which[source], amount, minlength=len(names)).astype(np.int64)
            details |= {f"{unit}:{d}": int(s) for d, s in zip(names, sums)}
        return Routed(mixed, to.astype(np.uint32), _draws(streams, 2 * copy + 2), lost, details)

    def _domains(self, batch: pa.RecordBatch) -> pa.Array:
        if self.by not in batch.schema.names:
            return pa.array([NO_DOMAIN] * batch.num_rows, pa.string())
        return labels(batch, self.by, "mix.by").fill_null(NO_DOMAIN)

    def _evaluation(self, batch: pa.RecordBatch) -> np.ndarray:
        if "split" not in batch.schema.names or not self.skip_splits:
            return np.zeros(batch.num_rows, np.bool_)
        split = pc.utf8_lower(labels(batch, "split", "mix.skip_splits"))
        hit = pc.is_in(split, pa.array([s.lower() for s in self.skip_splits], pa.string()))
        return hit.to_numpy(zero_copy_only=False).astype(np.bool_)

    def _sizes(self, batch: pa.RecordBatch) -> np.ndarray:
        """int64 [n], in `unit`."""
        if self.unit == "documents":
            return np.ones(batch.num_rows, np.int64)
        if self.unit == "bytes":
            sizes = pc.binary_length(batch.column("text"))
        elif "n_tokens" in batch.schema.names:
            sizes = whole_numbers(batch, "n_tokens", "mix.unit")
        elif "input_ids" in batch.schema.names:
            sizes = pc.list_value_length(token_lists(batch, "input_ids", "mix.unit"))
        else:
            raise RecipeError(
                "mix.unit: documents have no tokens to count, neither `n_tokens` nor `input_ids`; put `tokenize` before "
                "`mix`, or count bytes"
            )
        return sizes.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)


def _draws(keys: np.ndarray, counters: np.ndarray) -> np.ndarray:
    """`corpusmill.transforms.random.draw_array` with a counter of its own for each key: uint64 [n]."""
    with np.errstate(over="ignore"):
        return mix64_array(keys ^ mix64_array((counters.astype(np.uint64) + U(1)) * GOLDEN))
