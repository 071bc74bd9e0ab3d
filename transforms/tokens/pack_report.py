"""Accounts for packing: every document is packed or dropped, every token is in a row or lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.transforms.errors import ConservationError

LEDGER = pa.schema(
    {"id": pa.string(), "source": pa.string(), "reason": pa.string(), "value": pa.float64(), "bytes": pa.int64()}
)


@dataclass
class PackReport:
    """The account of a shard's documents and tokens. `Pack.pack` fills it.

    documents: rows in. packed: documents with at least one token in a row. cut: packed documents that lie in more than one
    piece. shortened: packed documents that lost a piece to `min_fill`. tokens: in rows, with bos and eos, without padding.
    """

    documents: int = 0
    packed: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    cut: int = 0
    shortened: int = 0
    rows: int = 0
    tokens: int = 0
    padding: int = 0
    lost_tokens: int = 0
    repeats: int = 0
    """Further copies of documents, by their weights; `packed` and `dropped` count them, `documents` does not."""
    tokenizer: str = ""
    encoder: str = ""
    gone: list[pa.RecordBatch] = field(default_factory=list, repr=False)

    @property
    def used(self) -> int:
        """Packed documents, without further copies."""
        return self.packed - self.repeats

    @property
    def waste(self) -> float:
        """Share of padding in the rows."""
        return self.padding / max(1, self.padding + self.tokens)

    @property
    def cut_share(self) -> float:
        """Share of the packed documents that lie in more than one piece."""
        return self.cut / max(1, self.packed)

    def check(self, where: str = "pack") -> None:
        """Raises ConservationError unless every document is packed or dropped."""
        if self.documents + self.repeats != self.packed + sum(self.dropped.values()):
            raise ConservationError(
                f"{where}: {self.documents} documents in, but {self.packed} packed + {sum(self.dropped.values())} dropped. "
                "No snapshot was committed; please report this."
            )

    def ledger(self) -> pa.Table:
        """The dropped documents: id, source, reason, value (tokens they had), bytes of text."""
        return pa.Table.from_batches(self.gone, LEDGER)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form with the shares. The encoder is left out: every encoder gives the same ids, and published files must not
        depend on which one is installed."""
        left_out = ("gone", "encoder", *(() if self.repeats else ("repeats",)))
        plain = {k: v for k, v in self.__dict__.items() if k not in left_out}
        return {
            **plain,
            "dropped": dict(sorted(self.dropped.items())),
            "waste": self.waste,
            "cut_share": self.cut_share,
        }

    def drop(self, about: pa.Table, lost: np.ndarray, sizes: np.ndarray, reason: str) -> None:
        """Note dropped documents: rows `lost` of `about` (id, source, bytes), which had sizes[lost] tokens."""
        if not len(lost):
            return
        self.dropped[reason] += len(lost)
        gone = about.take(pa.array(lost)).combine_chunks()
        values = pa.array(sizes[lost].astype(np.float64))
        columns = [gone["id"], gone["source"], pa.array([reason] * len(lost)), values, gone["bytes"]]
        self.gone += pa.table(columns, schema=LEDGER).combine_chunks().to_batches()

    def place(self, about: pa.Table, which: np.ndarray, size: np.ndarray, stays: np.ndarray, sizes: np.ndarray) -> None:
        """Note documents whose pieces (document `which`, `size` tokens) lie in rows that stay, or do not."""
        every = np.bincount(which, minlength=len(sizes))
        left = np.bincount(which[stays], minlength=len(sizes))
        self.packed += int(np.count_nonzero(left))
        self.cut += int(np.count_nonzero((every > 1) & (left > 0)))
        self.shortened += int(np.count_nonzero((left > 0) & (left < every)))
        self.lost_tokens += int(size[~stays].sum())
        self.drop(about, np.flatnonzero((every > 0) & (left == 0)), sizes, "min-fill")

    def fill(self, used: np.ndarray, length: int) -> None:
        """Note rows of `length` that hold `used` tokens each."""
        self.rows += len(used)
        self.tokens += int(used.sum())
        self.padding += int(len(used) * length - used.sum())
