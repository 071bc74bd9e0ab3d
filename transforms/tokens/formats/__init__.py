"""Training shards in the formats that trainers read, and metadata that catalogues read.

| format | files of a shard | read with |
|---|---|---|
| arrow | .arrow, memory-mapped | `datasets.load_dataset`, `pyarrow.ipc.open_file(pyarrow.memory_map(path))` |
| parquet | .parquet, zstd | `datasets.load_dataset`, pyarrow, DuckDB, Polars |
| mds | .00000.mds, and index.json for the dataset | `streaming.StreamingDataset` |
| megatron | .bin, .idx | `--data-path stem` |
| nanogpt | .bin | `np.memmap(path, np.uint16)` |
| croissant | one JSON-LD file that describes the snapshot's own shards | dataset catalogues |

A format is one module with a dict `FORMATS` of `ExportFormat`s, and one line in `MODULES`. Importing this package imports none
of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from corpusmill.transforms.tokens.formats.files import ExportFormat, File, Shard

MODULES = {
    "arrow": "columnar",
    "parquet": "columnar",
    "megatron": "megatron",
    "mds": "mosaic",
    "nanogpt": "nanogpt",
    "croissant": "croissant",
}
"""Every format and its module."""
SNAPSHOTS = ("arrow", "parquet")
"""The formats that snapshots have already: `output.format` of a recipe."""
CATALOGUES = ("croissant",)
"""The formats that describe a snapshot's own files and write no shards."""
TARGETS = tuple(name for name in MODULES if name not in SNAPSHOTS)
"""What `corpusmill export --to` takes."""
FORMATS = tuple(name for name in MODULES if name not in CATALOGUES)
"""What `write_shard` takes."""


def load(name: str) -> ExportFormat:
    """The format of that name.

    Raises:
        RecipeError: there is none.
    """
    if name not in MODULES:
        from corpusmill.transforms.errors import RecipeError

        raise RecipeError(f"output.format: {name!r} is none of {', '.join(MODULES)}")
    formats: dict[str, ExportFormat] = importlib.import_module(f"{__name__}.{MODULES[name]}").FORMATS
    return formats[name]


def write_shard(form: str, batches: Iterable[pa.RecordBatch], stem: str, schema: pa.Schema) -> Shard:
    """Write one shard; files appear when they are whole.

    Args:
        form: the name of a format that has shards.
        batches: rows of `schema`.
        stem: the path of the shard without a suffix.

    Raises:
        RecipeError: there is no such format, or it cannot hold the columns.
    """
    return load(form).write(batches, stem, schema)


def finish(form: str, directory: str, shards: Iterable[Shard]) -> tuple[File, ...]:
    """Write the files that a dataset needs beside its shards, and return them."""
    return load(form).finish(directory, shards)
