"""Bounds on what one unit of privacy gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from corpusmill.transforms.base import Applied, Decided, Group, Stability
from corpusmill.transforms.columns import token_lists, whole_numbers
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.hashing import hash64, hash128
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.units.bounds import UNIT, bounded, unit_values

REASONS = ("repeats-within-unit", "beyond-bounds-of-unit")
_DECISIONS = pa.schema({"shard": pa.uint32(), "row": pa.uint32(), "reason": pa.uint8(), "value": pa.float64()})


class BoundUnits(Group):
    """Keeps at most `max_rows` documents and `max_tokens` tokens of each unit of privacy, chosen by a keyed draw.

    Source: contribution bounding as in Amin et al. 2019, "Bounding user contributions", section 3, and Wilson et al. 2020,
    "Differentially private SQL with bounded user contribution", section 2: without it a unit with k rows has k times the
    influence. A unit's documents are taken in the order of a hash of (seed, id, epoch) until a bound is reached; a document
    of more than `max_tokens` tokens never stays. Which stay depends on the unit's own documents alone (stability: unit). Dropped
    are `repeats-within-unit` (with `distinct`; value: 1) and `beyond-bounds-of-unit` (value: documents of the unit).

    Raises:
        RecipeError: documents lack the column; tokens are bounded and documents have none.

    >>> BoundUnits(by="user", max_rows=4).stability
    'unit'
    """

    name: ClassVar[str] = "bound-units"
    stability: ClassVar[Stability] = "unit"
    refusal: ClassVar[tuple[str, str]] = (
        "which documents stay depends on others that are no part of the same unit of privacy",
        "set `by` to the unit's column (`id` where the unit is the document)",
    )
    bounds_units: ClassVar[bool] = True

    by: str = Field(UNIT, min_length=1, description="Column whose values are the units, such as `user`.")
    max_rows: int | None = Field(8, ge=1, description="Documents that a unit keeps at most; null for no bound.")
    max_tokens: int | None = Field(
        None, ge=1, description="Tokens that a unit keeps at most (`n_tokens`, or the length of `input_ids`)."
    )
    distinct: bool = Field(
        False,
        description="Documents of one unit with the same text count once: deduplication that private data allows.",
    )
    seed: int = Field(0, ge=0, description="Other seeds keep other documents.")

    @model_validator(mode="after")
    def _some_bound(self) -> BoundUnits:
        if self.max_rows is None and self.max_tokens is None and not self.distinct:
            raise ValueError("give `max_rows`, `max_tokens` or `distinct`; without any of them nothing is bounded")
        return self

    def libraries(self) -> tuple[str, ...]:
        return ()

    def reach(self, is_unit: Callable[[str], bool]) -> tuple[Stability, str]:
        return (self.stability if is_unit(self.by) else "cross"), ""

    def keys(self, rnd: int, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        units = hash128(unit_values(batch, self.by, self.name))
        return pa.record_batch(
            {
                "key": np.ascontiguousarray(units[:, 0]),
                "row": rows.astype(np.uint32),
                "second": np.ascontiguousarray(units[:, 1]),
                "draw": Keyed(self.seed, self.name).keys(batch),
                "tokens": self._tokens(batch),
                "text": hash64(batch.column("text")) if self.distinct else np.zeros(len(batch), np.uint64),
            }
        )

    def _tokens(self, batch: pa.RecordBatch) -> np.ndarray:
        if self.max_tokens is None:
            return np.zeros(len(batch), np.int64)
        if "n_tokens" in batch.schema.names:
            sizes = whole_numbers(batch, "n_tokens", "bound-units.max_tokens")
        elif "input_ids" in batch.schema.names:
            sizes = pc.list_value_length(token_lists(batch, "input_ids", "bound-units.max_tokens"))
        else:
            raise RecipeError("bound-units.max_tokens: documents have no tokens; put the step `tokenize` before")
        return sizes.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)

    def decide(self, rnd: int, keys: pa.Table) -> Decided:
        if not keys.num_rows:
            return Decided(_DECISIONS.empty_table())
        part = {name: keys.column(name).to_numpy() for name in ("key", "second", "draw", "tokens", "text")}
        pairs = np.stack([part["key"], part["second"]], 1).view([("a", "<u8"), ("b", "<u8")]).reshape(-1)
        _, unit, sizes = np.unique(pairs, return_inverse=True, return_counts=True)
        repeats = np.zeros(len(unit), np.bool_)
        if self.distinct:  # of equal texts the first drawn stays
            order = np.lexsort((part["draw"], part["text"], unit))
            u, t = unit[order], part["text"][order]
            repeats[order[1:]] = (u[1:] == u[:-1]) & (t[1:] == t[:-1])
        first = np.flatnonzero(~repeats)
        stays = ~repeats
        stays[first] = bounded(unit[first], part["draw"][first], self.max_rows, part["tokens"][first], self.max_tokens)
        gone = np.flatnonzero(~stays)
        decisions = {
            "shard": keys.column("shard").take(pa.array(gone)),
            "row": keys.column("row").take(pa.array(gone)),
            "reason": pa.array(np.where(repeats[gone], 0, 1), pa.uint8()),
            "value": pa.array(np.where(repeats[gone], 1.0, sizes[unit[gone]].astype(np.float64))),
        }
        return Decided(pa.table(decisions, schema=_DECISIONS))

    def apply(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table) -> Applied:
        at = np.searchsorted(rows, decisions.column("row").to_numpy()).astype(np.int64)
        reasons = [REASONS[r] for r in decisions.column("reason").to_pylist()]
        return Applied.without(batch, at, reasons, decisions.column("value").to_pylist())
