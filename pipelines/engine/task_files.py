"""Writes the files of tasks: the keys of a shard, side tables, and entries of shards in outcomes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.dataset.outcome import WorkFile
from corpusmill.pipelines.engine.job import Job
from corpusmill.transforms.base import Group
from corpusmill.transforms.errors import EngineError
from corpusmill.transforms.exchange import write_keys
from corpusmill.transforms.shards import ShardWriter


class KeyRows:
    """Collects the key rows of a group over one shard and writes them as one exchange file."""

    def __init__(self, group: Group, rnd: int) -> None:
        self._group, self._round = group, rnd
        self._batches: list[pa.RecordBatch] = []
        self._schema: pa.Schema | None = None

    def add(self, batch: pa.RecordBatch, rows: np.ndarray, decisions: pa.Table | None = None) -> None:
        """Add the key rows of a batch, see `Group.keys`."""
        keys = self._group.keys(self._round, batch, rows, decisions)
        self._schema = keys.schema
        if keys.num_rows:
            self._batches.append(keys)

    def write(self, job: Job, content: str) -> tuple[WorkFile, int]:
        """Write the file. Returns (its entry in an outcome, bytes of its rows)."""
        if self._schema is None:
            raise EngineError(f"{self._group.name}: no batch was offered for keys")
        path = job.store.work(content, "keys.batches")
        size = write_keys(job.store.path(path), self._batches, self._schema)
        return {"path": path}, size


def side_table(job: Job, files: dict[str, WorkFile], content: str, what: str, table: pa.Table) -> None:
    """Write a side table of a shard, if it has rows."""
    if table.num_rows == 0:
        return
    path = job.store.work(content, f"{what}.parquet")
    with ShardWriter(job.store.path(path), table.schema) as writer:
        for batch in table.to_batches():
            writer.write(batch)
    files[what] = shard_file(path, writer)


def shard_file(path: str, writer: ShardWriter) -> WorkFile:
    """The entry of a shard file in an outcome."""
    w = writer.written
    if w is None:
        raise EngineError(f"{path}: the shard was not finished")
    return {"path": path, "rows": w.rows, "bytes": w.text_bytes, "size": w.size, "sha256": w.sha256}
