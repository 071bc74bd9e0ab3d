"""The base of steps that make noisy copies: which rows are copied, how often, under which keys, and a copy's columns.

The kernel of a noise step writes each document and its copies side by side in one pass, so the text moves once.
"""

from __future__ import annotations

import abc
import json
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from corpusmill.transforms.arrow import set_column, string_array, string_buffers
from corpusmill.transforms.base import Expand, Stability
from corpusmill.transforms.document import derived_ids
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.random import EPOCH, Keyed, draw_array

EVALUATION_SPLITS = ("test", "validation", "valid", "val", "dev", "eval", "evaluation")


@dataclass(frozen=True)
class Versions:
    """The rows to write, m of them: rows int64 [m] (the source row), copies int32 [m] (0 = the original, verbatim),
    keys uint64 [m] (the stream of this copy of this document)."""

    rows: np.ndarray
    copies: np.ndarray
    keys: np.ndarray


class Copies(Expand):
    """Adds noisy copies of documents, or replaces the documents by them (`keep_originals: false`).

    A copy has an id of its own (a hash of its parent's id, the step, the seed, the epoch and the copy's number), `parent`,
    and `derived_by`: a JSON object of the transform, its parameters, the copy's number and the number of edits.
    """

    stability: ClassVar[Stability] = "record"

    copies: int = Field(1, ge=1, le=1000, description="Noisy copies of each document.")
    keep_originals: bool = Field(True, description="Keep the documents themselves beside their copies.")
    keep_unchanged: bool = Field(
        False,
        description="Also keep copies that came out without any edit, where the original is kept (plain duplicates).",
    )
    skip_splits: tuple[str, ...] = Field(
        EVALUATION_SPLITS, description="Documents whose column `split` has one of these values pass through untouched."
    )

    @abc.abstractmethod
    def noisy(self, batch: pa.RecordBatch, versions: Versions) -> tuple[pa.Array, np.ndarray]:
        """Returns the texts of `versions` and the number of edits of each (int64 [m])."""

    def untouched(self, batch: pa.RecordBatch) -> np.ndarray:
        """bool [n]: rows that pass through as they are. Subclasses add conditions of their own."""
        if "split" not in batch.schema.names or not self.skip_splits:
            return np.zeros(batch.num_rows, np.bool_)
        split = pc.utf8_lower(batch.column("split").cast(pa.string()))
        return _bools(pc.is_in(split, pa.array([s.lower() for s in self.skip_splits], pa.string())))

    def versions(self, batch: pa.RecordBatch, rng: Keyed) -> Versions:
        """Each document, then its copies in order."""
        skipped = self.untouched(batch)
        first = np.where(skipped | self.keep_originals, 0, 1)
        last = np.where(skipped, 0, self.copies)
        width = last - first + 1
        rows = np.repeat(np.arange(batch.num_rows, dtype=np.int64), width)
        begins = np.cumsum(width) - width
        copies = (np.arange(len(rows)) - np.repeat(begins, width) + first[rows]).astype(np.int32)
        keys = rng.keys(batch)[rows]
        for copy in range(1, self.copies + 1):
            here = copies == copy
            keys[here] = draw_array(keys[here], copy)
        return Versions(rows, copies, keys)

    def parameters(self) -> dict[str, Any]:
        """The parameters in `derived_by`: fields that differ from their defaults; of paths only the file name."""
        shared = {"copies", "keep_originals", "keep_unchanged", "skip_splits"}
        fields = self.model_dump(mode="json", exclude_defaults=True, exclude=shared)
        return {
            k: PurePath(v).name if isinstance(v, str) and PurePath(v).is_absolute() else v for k, v in fields.items()
        }

    def expand(self, batch: pa.RecordBatch, rng: Keyed) -> pa.RecordBatch:
        versions = self.versions(batch, rng)
        texts, edits = self.noisy(batch, versions)
        derived = versions.copies > 0
        stays = np.ones(len(derived), np.bool_)
        if self.keep_originals and not self.keep_unchanged:
            stays = ~derived | (edits > 0)
        if batch.column("text").null_count:
            texts = pc.if_else(
                batch.column("text").is_valid().take(pa.array(versions.rows)), texts, pa.scalar(None, pa.string())
            )
        if not stays.all():
            versions = Versions(versions.rows[stays], versions.copies[stays], versions.keys[stays])
            texts, edits, derived = texts.filter(pa.array(stays)), edits[stays], derived[stays]
        rows = pa.array(versions.rows)
        out = set_column(batch.drop_columns("text").take(rows), "text", texts).select(batch.schema.names)
        parents = out.column("id")
        ids, named = parents, repeats(out)
        for copy in range(1, self.copies + 1):
            fresh = derived_ids(named, f"{self.name}\0{rng.base}", copy)
            ids = pc.if_else(pa.array(versions.copies == copy), fresh, ids)
        out = set_column(out, "id", ids)
        for name, values in (("parent", parents), ("derived_by", self.lineage(versions, edits))):
            before = (
                out.column(name).cast(pa.string()) if name in out.schema.names else pa.nulls(len(rows), pa.string())
            )
            out = set_column(out, name, pc.if_else(pa.array(derived), values, before))
        return out

    def lineage(self, versions: Versions, edits: np.ndarray) -> pa.Array:
        """`derived_by` of every version."""
        head = {"transform": self.name, "version": self.version, "parameters": self.parameters()}
        return pc.binary_join_element_wise(
            json.dumps(head, ensure_ascii=False)[:-1] + ', "copy": ',
            pc.cast(pa.array(versions.copies), pa.string()),
            ', "edits": ',
            pc.cast(pa.array(edits.astype(np.int64)), pa.string()),
            "}",
            "",
        )


def repeats(batch: pa.RecordBatch) -> pa.Array:
    """The ids that copies are named after; the epoch follows the id of a document that `mix` repeated."""
    i = batch.schema.get_field_index(EPOCH)
    if i < 0 or batch.schema.field(i).type != pa.int32():
        return batch.column("id")
    later = pc.fill_null(pc.greater(batch.column(i), 0), False)
    behind = pc.binary_join_element_wise(batch.column("id"), batch.column(i).cast(pa.string()), "\0")
    return pc.if_else(later, behind, batch.column("id"))


def text_buffers(batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
    """The buffers of the column `text`."""
    return string_buffers(batch.column("text"))


def as_texts(offsets: np.ndarray, data: np.ndarray) -> pa.Array:
    """The string array a kernel wrote; its offsets are int64 [m + 1].

    Raises RecipeError if the copies of one batch exceed 2 GiB.
    """
    if offsets[-1] > np.iinfo(np.int32).max:
        raise RecipeError(
            f"the copies of one batch take {offsets[-1]:,} bytes, more than 2 GiB. Ask for fewer `copies`."
        )
    return string_array(offsets.astype(np.int32), data[: max(1, offsets[-1])])


def _bools(mask: pa.Array) -> np.ndarray:
    return mask.fill_null(False).to_numpy(zero_copy_only=False).astype(np.bool_)
