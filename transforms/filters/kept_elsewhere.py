"""Drops documents that another owner keeps, by the list of a joint deduplication."""

from __future__ import annotations

import functools
import os
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from corpusmill.transforms.base import Filter, Stability, Verdict
from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.shards import read_shard

ELSEWHERE = "elsewhere"


class KeptElsewhere(Filter):
    """Drop documents whose id is in the list at `path`: another owner, or this one, keeps a document like it.

    `corpusmill secure dedup JOB --config party.yaml --apply RECIPE` makes the list, adds what later jobs find, and runs the
    recipe; any other run obeys the list as it is, so what it names stays out. The reason says who keeps the document:
    `kept-by-OWNER`. Put the step behind all that add documents, and before `pack`: the ids of the list are those of the
    documents that the joint deduplication was given. The list is a Parquet file of `id` and `kept_by` (null: not known).
    Raises BadFileError for a file that is no such list.

    >>> import tempfile, pyarrow as pa
    >>> file = tempfile.NamedTemporaryFile(suffix=".parquet").name
    >>> add_to_list(file, pa.table({"id": ["a"], "kept_by": ["north"]}))
    1
    >>> step = KeptElsewhere(path=file)
    >>> verdict = step.judge(pa.record_batch({"id": ["a", "b"]}), Keyed())
    >>> verdict.reasons[verdict.codes[0]], verdict.kept.tolist()
    ('kept-by-north', [False, True])
    """

    name: ClassVar[str] = "kept-elsewhere"
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = "cross"
    example: ClassVar[str] = "{path: kept.parquet}"

    path: str = Field(min_length=1, description="Parquet file of the ids to drop; `secure dedup --apply` writes it.")

    def files(self) -> list[str]:
        """The list."""
        return [self.path]

    def libraries(self) -> tuple[str, ...]:
        return ()

    def judge(self, batch: pa.RecordBatch, rng: Keyed) -> Verdict:
        """The value is 1 for a document that is dropped."""
        ids, owners, names = _load(self.path, *_stamp(self.path))
        matches = pc.index_in(batch.column("id").cast(pa.string()), ids)
        gone = pc.is_valid(matches).to_numpy(zero_copy_only=False)
        codes = np.full(batch.num_rows, -1, np.int16)
        codes[gone] = owners[pc.fill_null(matches, 0).to_numpy(zero_copy_only=False)[gone]]
        return Verdict(names, codes, np.where(gone, 1.0, np.nan))


def add_to_list(path: str, matches: pa.Table) -> int:
    """Add `id` and `kept_by` of a joint deduplication to the list at `path`, or make it. Returns the number of its rows.

    The list wins for an id that is in both. The file appears whole or not at all.
    """
    from corpusmill.transforms.tables import save_table

    parts = [matches.select(["id", "kept_by"]).cast(_SCHEMA)]
    if os.path.exists(path):
        parts.insert(0, _read(path))
    joined = pa.concat_tables(parts).combine_chunks()
    _, first = np.unique(joined.column("id").to_numpy(zero_copy_only=False).astype(str), return_index=True)
    joined = joined.take(pa.array(first))
    save_table(path, joined)
    return len(joined)


_SCHEMA = pa.schema([("id", pa.string()), ("kept_by", pa.string())])


def _read(path: str) -> pa.Table:
    try:
        return pa.Table.from_batches([b.select(["id", "kept_by"]) for b in read_shard(path)], _SCHEMA)
    except (KeyError, pa.ArrowException) as error:
        raise BadFileError(
            path, f"is no list of documents that others keep ({error})", "name what `secure dedup --apply` wrote"
        ) from error


def _stamp(path: str) -> tuple[int, int]:
    stat = os.stat(path)
    return stat.st_size, stat.st_mtime_ns


@functools.lru_cache(8)
def _load(path: str, size: int, stamp: int) -> tuple[pa.Array, np.ndarray, tuple[str, ...]]:
    """(ids, number of each one's reason, reasons)."""
    table = _read(path)
    keepers = pc.fill_null(table.column("kept_by").combine_chunks(), ELSEWHERE).dictionary_encode()
    names = keepers.dictionary.to_pylist()
    order = np.argsort(names)
    place = np.empty(len(names), np.int16)
    place[order] = np.arange(len(names), dtype=np.int16)
    reasons = tuple("kept-elsewhere" if names[i] == ELSEWHERE else f"kept-by-{names[i]}" for i in order)
    return table.column("id").combine_chunks(), place[keepers.indices.to_numpy()], reasons
