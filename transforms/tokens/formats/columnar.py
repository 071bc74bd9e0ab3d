"""Arrow IPC and Parquet: all columns, readable with `datasets`, pyarrow, DuckDB and Polars.

Arrow IPC is not compressed, so that a reader maps the file and touches only the rows it wants.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Literal

import pyarrow as pa

from corpusmill.transforms.errors import EngineError
from corpusmill.transforms.shards import SUFFIX, ShardWriter
from corpusmill.transforms.tokens.formats.files import ExportFormat, File, Shard, token_rows


def write_columnar(
    batches: Iterable[pa.RecordBatch], stem: str, schema: pa.Schema, form: Literal["arrow", "parquet"] = "arrow"
) -> Shard:
    """Write `stem`.arrow or `stem`.parquet."""
    path, tokens = stem + SUFFIX[form], 0
    with ShardWriter(path, schema, form) as writer:
        for batch in batches:
            tokens += int(token_rows(batch)[1].sum())
            writer.write(batch)
    if writer.written is None:
        raise EngineError(f"{path}: the writer closed without a file")
    return Shard((File(path, writer.written.size, writer.written.sha256),), writer.written.rows, tokens)


FORMATS = {
    "arrow": ExportFormat(write_columnar, documents=True, media="application/vnd.apache.arrow.file"),
    "parquet": ExportFormat(partial(write_columnar, form="parquet"), documents=True, media="application/x-parquet"),
}
