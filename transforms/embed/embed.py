"""A vector a document."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from corpusmill.transforms.arrow import set_column
from corpusmill.transforms.base import Applied, Stability
from corpusmill.transforms.embed.kmeans import lengths
from corpusmill.transforms.embed.learned import Learned

COLUMN = "vector"


class Embed(Learned):
    """Writes a vector of each document to the side table `vectors` (id, vector), or to a column of the documents.

    By default the vectors are trained on the corpus itself (`corpusmill.transforms.embed.vectors`): in seconds, in any
    language, without a download, the same for any sharding. Documents with similar words in similar contexts have
    similar vectors; the cosine of two vectors says how similar. A document without words has zeros.

    A refresh trains anew, so vectors of two snapshots are not comparable. Vectors of a model of your own (`static:FOLDER`,
    `embed:FOLDER`) are.

    >>> Embed().dims
    256
    """

    name: ClassVar[str] = "embed"
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = "cross"
    refusal: ClassVar[tuple[str, str]] = (
        "word vectors are trained on the texts of all units",
        "leave it out; or name public vectors (`vectors: static:FOLDER`), which make it a step on one record",
    )

    dtype: Literal["float16", "int8"] = Field("float16", description="Numbers of a vector; float16 have length 1.")
    column: bool = Field(False, description="Write a column `vector` of the documents instead of the side table.")

    def reach(self, is_unit: Callable[[str], bool]) -> tuple[Stability, str]:
        return ("cross" if self.vectors is None else "record"), ""

    def clusters(self, documents: int) -> tuple[int, int]:
        return 0, 0

    def adds_to(self) -> bool:
        return True

    def apply(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table) -> Applied:
        model = self.model(decisions)
        found = self.embed(batch.column("text"), None if model is None else model.words)
        vectors = self._column(found)
        none = np.zeros(0, np.int64)
        if self.column:
            return Applied(set_column(batch, COLUMN, vectors), none, [], [], [])
        side = pa.record_batch({"id": batch.column("id"), COLUMN: vectors})
        return Applied(batch, none, [], [], [], tables={"vectors": side})

    def _column(self, vectors: np.ndarray) -> pa.FixedSizeListArray:
        if self.dtype == "int8":
            return pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
        scaled = (vectors / lengths(vectors)[:, None]).astype(np.float16)
        return pa.FixedSizeListArray.from_arrays(pa.array(scaled.reshape(-1)), vectors.shape[1])
