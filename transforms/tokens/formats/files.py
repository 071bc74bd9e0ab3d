"""Files that appear whole or not at all, and the token rows of a batch."""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.transforms.errors import RecipeError


@dataclass(frozen=True)
class File:
    """A file that was written: its path, size in bytes and SHA-256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Shard:
    """A shard that was written: its files, rows, tokens without padding, and what a dataset's index says of it."""

    files: tuple[File, ...]
    rows: int
    tokens: int
    index: tuple[dict[str, Any], ...] = field(default=())


def _no_shards(batches: Iterable[pa.RecordBatch], stem: str, schema: pa.Schema) -> Shard:
    raise RecipeError("this format describes a dataset and has no shards; name one of formats.FORMATS")


@dataclass(frozen=True)
class ExportFormat:
    """One format of `MODULES`.

    write: (batches, stem, schema) -> the shard; finish: (directory, shards) -> files beside the shards; describe: of a
    catalogue, (path, name, description, schema, files, form, license, published, version) -> the metadata file; documents:
    whether text can be written, or rows of tokens only; media: media type of the files.
    """

    write: Callable[[Iterable[pa.RecordBatch], str, pa.Schema], Shard] = _no_shards
    finish: Callable[[str, Iterable[Shard]], tuple[File, ...]] = lambda directory, shards: ()
    describe: Callable[..., File] | None = None
    documents: bool = False
    media: str = "application/octet-stream"


class Sink:
    """A binary file under a temporary name, with its digest; `publish` gives it its name."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._part = os.path.join(os.path.dirname(path), f".tmp-{uuid.uuid4().hex}")
        self._digest, self._size = hashlib.sha256(), 0
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        self._file = open(self._part, "wb")  # noqa: SIM115 (closed by publish or discard)

    def write(self, data: Any) -> None:
        """Append bytes, or the memory of an array."""
        view = memoryview(data).cast("B") if not isinstance(data, bytes) else data
        self._file.write(view)
        self._digest.update(view)
        self._size += len(view)

    def publish(self) -> File:
        """Flush to disk and rename."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self._part, self.path)
        return File(self.path, self._size, self._digest.hexdigest())

    def discard(self) -> None:
        """Remove the temporary file, if it is still there."""
        self._file.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._part)


@contextlib.contextmanager
def sinks(*paths: str) -> Iterator[list[Sink]]:
    """Sinks for `paths`; what the block did not publish is removed."""
    opened: list[Sink] = []
    try:
        for path in paths:
            opened.append(Sink(path))
        yield opened
    finally:
        for sink in opened:
            sink.discard()


def token_rows(batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
    """(tokens, their number in each row int64) of `input_ids`, without the padding behind `n_tokens`.

    Raises:
        RecipeError: the batch has no column `input_ids` of lists of uint16 or int32.
    """
    kind = batch.schema.field("input_ids").type if "input_ids" in batch.schema.names else None
    if kind is None or not pa.types.is_nested(kind) or kind.value_type not in (pa.uint16(), pa.int32()):
        raise RecipeError(
            f"output.format: needs a column input_ids of token ids, got {kind}; end the steps with `pack`"
        )
    column = batch.column("input_ids")
    if not pa.types.is_fixed_size_list(kind):
        sizes = pc.fill_null(pc.list_value_length(column), 0)
        return column.flatten().to_numpy(zero_copy_only=False), sizes.to_numpy(zero_copy_only=False).astype(np.int64)
    rows = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, kind.list_size)
    if "n_tokens" not in batch.schema.names:
        return rows.reshape(-1), np.full(len(rows), kind.list_size, np.int64)
    sizes = batch.column("n_tokens").to_numpy(zero_copy_only=False).astype(np.int64)
    if (sizes == kind.list_size).all():
        return rows.reshape(-1), sizes
    return rows[np.arange(kind.list_size) < sizes[:, None]], sizes
