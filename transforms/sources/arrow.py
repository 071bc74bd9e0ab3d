"""Arrow IPC files and streams (and the folders that `save_to_disk` of Hugging Face datasets writes, which hold streams)."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from corpusmill.transforms import storage
from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.sources.files import Part
from corpusmill.transforms.sources.ipc import BATCH, DICTIONARY, SCHEMA, Message, Spliced, messages
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.parquet import _first_line, _opened
from corpusmill.transforms.sources.rows import Place, rows_from


def _all(path: str, size: int) -> list[Message]:
    with _opened(path) as f:
        try:
            return list(messages(f, size))
        except (ValueError, OSError) as error:
            raise BadFileError(path, f"is no readable Arrow file or stream ({_first_line(error)})") from error


def batch_sizes(path: str) -> list[int]:
    """Bytes of each record batch; empty if the file cannot be read."""
    try:
        return [m.end - m.begin for m in _all(path, storage.stat(path).size) if m.kind == BATCH]
    except (BadFileError, OSError):
        return []


def schema_of(path: str) -> pa.Schema:
    """The schema in the file's first message."""
    with _opened(path) as f:
        try:
            for m in messages(f, storage.stat(path).size):
                if m.kind == SCHEMA:
                    return pa.ipc.open_stream(Spliced(f, [m])).schema
            raise ValueError("it has no schema")
        except (pa.ArrowException, ValueError, OSError) as error:
            raise BadFileError(path, f"is no readable Arrow file or stream ({_first_line(error)})") from error


def read(part: Part, budget: Budget) -> Iterator[tuple[pa.RecordBatch, Place]]:
    """The part's record batches as they are in the file, and the place of each."""
    everything = _all(part.path, part.size)
    batches = [m for m in everything if m.kind == BATCH]
    begin, end = (0, len(batches)) if part.whole else (part.begin, part.end)
    chosen = batches[begin:end]
    # dictionaries come before the batches that use them; those before the last batch of the range are all needed
    last = chosen[-1].begin if chosen else 0
    needed = set(chosen)
    stream = [m for m in everything if m in needed or m.kind == SCHEMA or (m.kind == DICTIONARY and m.begin < last)]
    first = sum(m.rows for m in batches[:begin])
    if not any(m.kind == SCHEMA for m in everything):
        raise BadFileError(part.path, "is no readable Arrow file or stream (it has no schema)")
    for m in stream:
        budget.spend(m.decoded + (m.rows if m.kind == BATCH else 0))
        budget.check_at_once(m.decoded, "a record batch")
    with _opened(part.path) as f:
        try:
            for batch in pa.ipc.open_stream(Spliced(f, stream)):
                yield batch, rows_from(first)
                first += batch.num_rows
        except (pa.ArrowException, ValueError, OSError) as error:
            raise BadFileError(part.path, f"is corrupt ({_first_line(error)})") from error
