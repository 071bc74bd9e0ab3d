"""The step `url-duplicates`."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from corpusmill.transforms.base import Applied, Decided, Group
from corpusmill.transforms.columns import texts
from corpusmill.transforms.dedup._cut import drop
from corpusmill.transforms.dedup._order import KEEP_HELP, TRUST, WITHIN_UNITS, Keep, order_columns, order_fingerprint
from corpusmill.transforms.dedup.exact import Exact
from corpusmill.transforms.hashing import hash128
from corpusmill.transforms.web.address import addresses


class UrlDuplicates(Group):
    """Keeps one page of each address: of pages whose addresses have the same normal form, `keep` says which one stays.

    The normal form is that of the step `urls` (`corpusmill.transforms.web.address`), which need not run before. With
    `keep: newest`, the last capture of a page stays; map its time to `created` at the source. Documents without a web address
    stay. Each document sends 24 bytes and its id. The decision about a dropped document holds the survivor's id; its value is 1.

    Raises:
        RecipeError: `keep` needs a column that is absent, or the column of addresses is absent.

    >>> batch = pa.record_batch({"id": ["a", "b"], "text": ["x", "y"], "url": ["http://a.org/", "https://www.a.org/?utm_id=1"]})
    >>> UrlDuplicates()(batch).column("id").to_pylist()
    ['a']
    """

    name: ClassVar[str] = "url-duplicates"
    version: ClassVar[int] = 1
    example: ClassVar[str] = "{keep: newest}"
    advice: ClassVar[str | None] = TRUST
    refusal: ClassVar[tuple[str, str]] = ("one document decides whether other units' pages stay", WITHIN_UNITS)

    column: str | None = Field(
        None, min_length=1, description="Column of addresses; by default `url`, or `id` where there is no `url`."
    )
    keep: Keep = Field("first", description=KEEP_HELP)

    def fingerprint(self) -> str:
        return order_fingerprint(super().fingerprint(), self.keep)

    def keys(self, rnd: int, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None) -> pa.RecordBatch:
        column = self.column or ("url" if "url" in batch.schema.names else "id")
        normal = addresses(texts(batch, column, "url-duplicates.column")).normal
        known = pc.indices_nonzero(normal.is_valid())
        hashes = hash128(normal.take(known))
        columns = {name: values.take(known) for name, values in order_columns(batch, self.keep, self.name).items()}
        key, second = (np.ascontiguousarray(hashes[:, i]) for i in range(2))
        return pa.record_batch(
            {"key": key, "row": rows.astype(np.uint32)[known.to_numpy()], "second": second, **columns}
        )

    def decide(self, rnd: int, keys: pa.Table) -> Decided:
        return Exact(keep=self.keep).decide(rnd, keys)

    def apply(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table) -> Applied:
        return drop(batch, rows, decisions, "same-url", "same")
