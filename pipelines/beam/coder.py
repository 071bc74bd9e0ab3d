"""Sends record batches between workers as Arrow IPC. (A pickled slice of a batch contains the whole batch.)"""

from __future__ import annotations

import apache_beam as beam
import pyarrow as pa


class RecordBatchCoder(beam.coders.Coder):
    """Arrow IPC stream of one batch. Not deterministic, so that no batch can be a key: a slice and a rebuilt array of the
    same values are written as different bytes.

    >>> batch = pa.record_batch({"a": [1, 2]})
    >>> RecordBatchCoder().decode(RecordBatchCoder().encode(batch)) == batch
    True
    """

    def encode(self, value: pa.RecordBatch) -> bytes:
        """The batch as an IPC stream."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, value.schema) as writer:
            writer.write_batch(value)
        return bytes(sink.getvalue())

    def decode(self, encoded: bytes) -> pa.RecordBatch:
        """The batch in an IPC stream."""
        with pa.ipc.open_stream(pa.py_buffer(encoded)) as reader:
            return reader.read_next_batch()

    def is_deterministic(self) -> bool:
        """False: see above."""
        return False

    def to_type_hint(self) -> type:
        """The coded type."""
        return pa.RecordBatch


def register() -> None:
    """Make this the coder of record batches."""
    beam.coders.registry.register_coder(pa.RecordBatch, RecordBatchCoder)
