"""Batches held back until they may be given out: in memory up to a bound, then in a temporary file.

Two readers must wait. JSON lines say their columns' types only at the end (the first record may be null where the last is a
number), and one shard has one schema. And under `on_bad_file: skip` a file's rows count only if the whole file is good, which
is known when its last byte was read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

IN_MEMORY = 96 << 20


class Spool:
    """A queue of record batches of any schemas; `replay` gives them in order, and can be called again."""

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self._limit, self._held = in_memory, 0
        self._memory: list[pa.RecordBatch] = []
        self._file: Any = None
        self.schemas: list[pa.Schema] = []

    def append(self, batch: pa.RecordBatch) -> None:
        """Add a batch."""
        if not self.schemas or not self.schemas[-1].equals(batch.schema):
            self.schemas.append(batch.schema)
        self._held += batch.nbytes
        if self._file is None and self._held <= self._limit:
            self._memory.append(batch)
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="corpusmill-")  # noqa: SIM115
        # each batch is a stream of its own, because the next may have another schema
        with pa.ipc.new_stream(pa.PythonFile(self._file, "w"), batch.schema) as writer:
            writer.write_batch(batch)

    def replay(self) -> Iterator[pa.RecordBatch]:
        """The batches in order."""
        yield from self._memory
        if self._file is None:
            return
        self._file.flush()
        end = self._file.tell()
        self._file.seek(0)
        source = pa.PythonFile(self._file, "r")
        while source.tell() < end:
            with pa.ipc.open_stream(source) as reader:
                yield from reader
        self._file.seek(end)

    def close(self) -> None:
        """Free the memory and the file."""
        self._memory = []
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
