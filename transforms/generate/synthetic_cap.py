"""A limit to the share of generated text: real text is never dropped, synthetic text is, evenly over the classes."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.base import Applied, Decided, Group, Stability
from corpusmill.transforms.columns import labels, texts
from corpusmill.transforms.hashing import hash64
from corpusmill.transforms.random import Keyed, draw_array

_REAL, _SYNTHETIC = 0, 1


class SyntheticCap(Group):
    """Drops generated documents until they are at most `max_share` of all tokens.

    Source: accumulating real text and bounding what is generated keeps models from collapsing (Gerstgrasser et al. 2024; Kazdan
    et al. 2024). With R real tokens, synthetic ones S <= R * max_share / (1 - max_share). Documents with `origin` "synthetic",
    or without that column those with a `parent`, are synthetic. Kept are: of each value of `label` in turn, if there is that
    column, the one first by a draw of its id, as long as it fits; so classes are balanced and which ones are kept depends on
    ids alone. Tokens are counted with `tokenizer`, else as UTF-8 bytes.

    One partition decides: 28 bytes for each synthetic document, and one row for the real ones of a batch.
    """

    name: ClassVar[str] = "synthetic-cap"
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = "cross"

    max_share: float = Field(0.5, ge=0, lt=1, description="share of all tokens that generated text may have")
    tokenizer: str | None = Field(None, description="tokenizer.json that counts tokens; UTF-8 bytes when left out")
    seed: int = Field(1, ge=0, description="of the order in which documents are kept")

    def files(self) -> list[str]:
        return [self.tokenizer] if self.tokenizer else []

    def keys(self, rnd: int, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        sizes = self._sizes(batch)
        synthetic = is_synthetic(batch)
        order = draw_array(Keyed(self.seed, self.name).keys(batch), 0)
        group = np.zeros(batch.num_rows, np.uint64)
        if "label" in batch.schema.names:
            group = hash64(pc.fill_null(labels(batch, "label", "synthetic-cap"), ""))
        keep = np.flatnonzero(synthetic)
        real = batch.num_rows > len(keep)
        tail = [0] * real
        return pa.record_batch(
            {
                "key": pa.array(np.zeros(len(keep) + real, np.uint64)),
                "row": pa.array(np.append(rows[keep], rows[np.flatnonzero(~synthetic)[:1]]), pa.uint32()),
                "kind": pa.array([_SYNTHETIC] * len(keep) + [_REAL] * real, pa.uint8()),
                "size": pa.array(np.append(sizes[keep], [sizes[~synthetic].sum()] * real).astype(np.int64)),
                "order": pa.array(np.append(order[keep], tail).astype(np.uint64)),
                "group": pa.array(np.append(group[keep], tail).astype(np.uint64)),
            }
        )

    def _sizes(self, batch: pa.RecordBatch) -> np.ndarray:
        if self.tokenizer is None:
            return np.diff(string_buffers(batch.column("text"))[0]).astype(np.int64)
        from corpusmill.transforms.tokens.tokenizer import load_tokenizer

        return np.diff(load_tokenizer(self.tokenizer).encode(batch.column("text"))[0]).astype(np.int64)

    def decide(self, rnd: int, keys: pa.Table) -> Decided:
        synthetic = keys.filter(pc.equal(keys["kind"], _SYNTHETIC))
        real = int(pc.sum(keys.filter(pc.equal(keys["kind"], _REAL))["size"]).as_py() or 0)
        size, order, group = (synthetic[n].to_numpy() for n in ("size", "order", "group"))
        dropped = ~within(size, group, order, int(real * self.max_share / (1 - self.max_share)))
        return Decided(synthetic.select(["shard", "row"]).filter(pa.array(dropped)))

    def apply(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table) -> Applied:
        lost = np.flatnonzero(np.isin(rows, decisions.column("row").to_numpy()))
        return Applied.without(batch, lost, ["cap"] * len(lost), [self.max_share] * len(lost))


def is_synthetic(batch: pa.RecordBatch) -> np.ndarray:
    """bool [n]: documents that a model wrote."""
    names = batch.schema.names
    if "origin" in names:
        column = pc.equal(texts(batch, "origin", "synthetic-cap"), "synthetic").fill_null(False)
    elif "parent" in names:
        column = batch.column("parent").is_valid()
    else:
        return np.zeros(batch.num_rows, np.bool_)
    return column.to_numpy(zero_copy_only=False).astype(np.bool_)


def within(size: np.ndarray, group: np.ndarray, order: np.ndarray, limit: int) -> np.ndarray:
    """bool [n]: the documents kept, of each group in turn the next by `order`, until their sizes would exceed `limit`.

    >>> within(np.array([4, 4, 4, 4]), np.array([0, 0, 0, 1]), np.array([1, 2, 3, 4]), 8).tolist()
    [True, False, False, True]
    """
    from corpusmill.transforms.generate.select import class_ranks

    rank = class_ranks(group, np.zeros(len(size)), order)
    turn = np.lexsort((order, rank))
    kept = np.zeros(len(size), np.bool_)
    kept[turn[np.cumsum(size[turn]) <= limit]] = True
    return kept
