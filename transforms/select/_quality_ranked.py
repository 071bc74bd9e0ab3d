"""The step `quality` where a document's verdict depends on the scores of others: exact shares, and ranks."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from corpusmill.transforms.arrow import set_column
from corpusmill.transforms.base import Applied, Decided, Group, Stability
from corpusmill.transforms.columns import labels
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.hashing import hash64
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.select._quality_fields import QualityFields
from corpusmill.transforms.select.top import ranks_within

PERCENTILES = (0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 100)
FEW = 10
"""A group of fewer documents may have equal scores."""
_SENT = pa.schema(
    {
        "key": pa.uint64(),
        "row": pa.uint32(),
        "group": pa.string(),
        "scores": pa.list_(pa.float64()),
        "odds": pa.list_(pa.float64()),
        "size": pa.int64(),
        "order": pa.uint64(),
        "exempt": pa.bool_(),
    }
)
_TOLD = pa.schema({"shard": pa.uint32(), "row": pa.uint32(), "score": pa.float64(), "verdict": pa.uint8()})
_TABLE = pa.schema(
    {
        "column": pa.string(),
        "group": pa.string(),
        "documents": pa.int64(),
        "kept": pa.int64(),
        "limit": pa.float64(),
        **{f"p{p}": pa.float64() for p in PERCENTILES},
    }
)
KEPT, LOW, BELOW = 0, 1, 2
_REASONS = {LOW: "min_score", BELOW: "below-top"}


class RankedQuality(QualityFields, Group):
    """`quality` with `keep`, or with ranks: scores meet by group, verdicts go back."""

    stability: ClassVar[Stability] = "cross"
    rounds: ClassVar[int] = 1

    keep_scores: bool = Field(
        default=False, description="keep every score in a side table, so that thresholds can be tried without a rerun"
    )

    def keys(self, rnd: int, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        if not batch.num_rows:
            return pa.RecordBatch.from_pylist([], _SENT)
        return self.sent(batch, rows, self.scores_of(batch), np.zeros(batch.num_rows, np.bool_))

    def sent(
        self, batch: pa.RecordBatch, rows: np.ndarray, found: tuple[np.ndarray, np.ndarray], exempt: np.ndarray
    ) -> pa.RecordBatch:
        """One row a document. found: probabilities and log odds, float64 [n, models] each; exempt: of documents that stay."""
        n = batch.num_rows
        by = self.keep.by if self.keep else None
        group = pa.array([""] * n) if by is None else labels(batch, by, "quality.keep.by").fill_null("")
        columns = [
            np.zeros(n, np.uint64) if by is None else hash64(group),
            rows.astype(np.uint32),
            group,
            *(
                pa.ListArray.from_arrays(np.arange(n + 1, dtype=np.int32) * f.shape[1], pa.array(f.ravel()))
                for f in found
            ),
            pc.binary_length(batch.column("text")).fill_null(0).cast(pa.int64()),
            Keyed(self.seed, self.name).keys(batch),
            exempt,
        ]
        return pa.RecordBatch.from_arrays(
            [c if isinstance(c, pa.Array) else pa.array(c) for c in columns], schema=_SENT
        )

    def decide(self, rnd: int, keys: pa.Table) -> Decided:
        if not keys.num_rows:
            return Decided(_TOLD.empty_table(), {"quality": _TABLE.empty_table()})
        keys = keys.combine_chunks()
        group, draw = (keys[c].to_numpy() for c in ("key", "order"))
        exempt = keys["exempt"].to_numpy(zero_copy_only=False)
        size = keys["size"].to_numpy()
        score, rank = self._combined(_matrix(keys["scores"]), _matrix(keys["odds"]), group)
        verdict = np.where(score < self.min_score, LOW, KEPT).astype(np.uint8)
        tables, names = [], keys["group"].combine_chunks()
        order = np.lexsort((draw, -rank, group))
        starts = np.flatnonzero(np.append(True, group[order][1:] != group[order][:-1]))
        for begin, stop in zip(starts, np.append(starts[1:], len(order))):
            mine = order[begin:stop]
            judged = mine[~exempt[mine]]
            name = str(names[int(mine[0])])
            if self.keep is not None:
                self._told_apart(rank[judged], score[judged], name)
                verdict[judged[self.keep.of(size[judged]) :]] = BELOW
            verdict[mine[exempt[mine]]] = KEPT
            tables.append(self._percentiles(name, score[judged], verdict[judged]))
        at = np.argsort(keys["row"].to_numpy(), kind="stable")
        told = [keys["shard"].take(at), keys["row"].take(at), pa.array(score[at]), pa.array(verdict[at])]
        return Decided(pa.table(told, schema=_TOLD), {"quality": pa.Table.from_pylist(tables, _TABLE)})

    def _combined(self, chances: np.ndarray, odds: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(score, what documents are ordered by), float64 [n] each, from [n, models]."""
        several = chances.shape[1] > 1
        if several and self.combine.endswith("rank"):
            chances = odds = np.stack([ranks_within(group, column) for column in odds.T], axis=1)
        if self.combine.startswith("max"):
            return np.round(chances.max(axis=1), 6), odds.max(axis=1)
        score = np.round(chances.mean(axis=1), 6)
        return score, score if several else odds[:, 0]

    def _told_apart(self, rank: np.ndarray, score: np.ndarray, name: str) -> None:
        if self.keep is not None and self.keep.top != 1 and len(rank) >= FEW and rank.min() == rank.max():
            which = f"of the group `{name}` " if self.keep.by else ""
            raise RecipeError(
                f"quality: all {len(score):,} documents {which}have the score {score[0]:g}, so there is no highest share; use a "
                "scorer that tells them apart, or `min_score`"
            )

    def _percentiles(self, name: str, score: np.ndarray, verdict: np.ndarray) -> dict[str, object]:
        kept = score[verdict == KEPT]
        cuts = np.percentile(score, PERCENTILES) if len(score) else np.full(len(PERCENTILES), np.nan)
        row = {"column": self.column, "group": name, "documents": len(score), "kept": len(kept)}
        limit = float(kept.min()) if len(kept) else None
        return row | {"limit": limit} | {f"p{p}": round(float(c), 6) for p, c in zip(PERCENTILES, cuts)}

    def adds_to(self) -> bool:
        return True

    def apply(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table) -> Applied:
        score, verdict = decisions["score"].to_numpy(), decisions["verdict"].to_numpy()
        scored = set_column(batch, self.column, pa.array(score, pa.float64()))
        dropped = np.flatnonzero(verdict != KEPT)
        reasons = [_REASONS[v] for v in verdict[dropped].tolist()]
        applied = Applied.without(scored, dropped, reasons, score[dropped].tolist())
        return replace(applied, scores={"score": score} if self.keep_scores else {})


def _matrix(column: pa.ChunkedArray) -> np.ndarray:
    """Lists of equal length as float64 [n, length]."""
    return np.asarray(column.combine_chunks().flatten().to_numpy().reshape(len(column), -1))
