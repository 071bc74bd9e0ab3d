"""Small tables as Parquet files."""

from __future__ import annotations

import os

import pyarrow as pa
import pyarrow.parquet as pq

from corpusmill.transforms.storage import write_atomic


def save_table(path: str | os.PathLike[str], table: pa.Table, fsync: bool = True) -> None:
    """Write a Parquet file atomically: readers see the old file or the new one. Shards are written by `ShardWriter`.

    Args:
        fsync: flush it to disk. Leave it out for files that can be made again.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, write_page_checksum=True)
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    write_atomic(os.fspath(path), sink.getvalue().to_pybytes(), fsync=fsync)
