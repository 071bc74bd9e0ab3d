"""Training shards in the formats that trainers read.

| format | files of a shard | read with |
|---|---|---|
| arrow | .arrow, memory-mapped | `datasets.load_dataset`, `pyarrow.ipc.open_file(pyarrow.memory_map(path))` |
| parquet | .parquet, zstd | `datasets.load_dataset`, pyarrow, DuckDB, Polars |
| mds | .00000.mds, and index.json for the dataset | `streaming.StreamingDataset` |
| megatron | .bin, .idx | `--data-path stem` |
| nanogpt | .bin | `np.memmap(path, np.uint16)` |
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import pyarrow as pa

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.tokens.formats.files import File, Shard

Format = Literal["arrow", "parquet", "mds", "megatron", "nanogpt"]
FORMATS: tuple[str, ...] = ("arrow", "parquet", "mds", "megatron", "nanogpt")

__all__ = ["FORMATS", "File", "Format", "Shard", "finish", "write_shard"]


def write_shard(form: str, batches: Iterable[pa.RecordBatch], stem: str, schema: pa.Schema) -> Shard:
    """Write one shard: `stem` is its path without a suffix. Files appear when they are whole.

    Raises:
        RecipeError: no such format, or columns that it cannot hold.
    """
    if form in ("arrow", "parquet"):
        from corpusmill.transforms.tokens.formats.columnar import write_columnar

        return write_columnar(batches, stem, schema, "arrow" if form == "arrow" else "parquet")
    if form == "mds":
        from corpusmill.transforms.tokens.formats.mosaic import write_mds

        return write_mds(batches, stem, schema)
    if form == "megatron":
        from corpusmill.transforms.tokens.formats.megatron import write_megatron

        return write_megatron(batches, stem, schema)
    if form == "nanogpt":
        from corpusmill.transforms.tokens.formats.nanogpt import write_nanogpt

        return write_nanogpt(batches, stem, schema)
    raise RecipeError(f"output.format: {form!r} is none of {', '.join(FORMATS)}")


def finish(form: str, directory: str, shards: Iterable[Shard]) -> tuple[File, ...]:
    """Write what a dataset needs beside its shards; only mds has such a file, index.json."""
    if form != "mds":
        return ()
    from corpusmill.transforms.tokens.formats.mosaic import write_index

    return (write_index(directory, shards),)
