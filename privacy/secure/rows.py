"""An owner's rows, from files that it made itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from corpusmill.transforms.errors import BadFileError, SourceError
from corpusmill.transforms.shards import read_shard, shard_schema


def rows_of(files: Iterable[str], columns: Iterable[str]) -> Iterator[tuple[str, pa.RecordBatch]]:
    """(file, batch) of all files, in their order, with these columns. Raises SourceError for a file that lacks one."""
    wanted = list(columns)
    for file in files:
        try:
            names = shard_schema(file).names
        except BadFileError as error:
            raise SourceError(
                f"{file}: cannot be read ({error}). Write it again, or name another in `data`."
            ) from error
        if missing := [f"`{name}`" for name in wanted if name not in names]:
            raise SourceError(
                f"{file}: has no column {', '.join(missing)}, but {', '.join(names) or 'none'}. Rename one, or give the parties "
                "a job that names a column that all have."
            )
        for batch in read_shard(file, wanted):
            yield file, batch
