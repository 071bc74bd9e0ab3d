"""Arrow IPC files and streams (and the folders that `save_to_disk` of Hugging Face datasets writes, which hold streams)."""

from __future__ import annotations

import pyarrow as pa

from corpusmill.transforms import storage
from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.files import Part
from corpusmill.transforms.sources.format import Format, Rows, balanced
from corpusmill.transforms.sources.ipc import BATCH, DICTIONARY, SCHEMA, Message, Spliced, messages
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.opened import faults_of, open_file
from corpusmill.transforms.sources.rows import rows_from
from corpusmill.transforms.sources.schema import readable
from corpusmill.transforms.sources.spec import SourceSpec

_UNREADABLE = "is no readable Arrow file or stream"


def _all(path: str, size: int) -> list[Message]:
    with open_file(path) as f, faults_of(path, _UNREADABLE):
        return list(messages(f, size))


class Arrow(Format):
    """Arrow files and streams, cut by record batches."""

    name = "arrow"
    extensions = (".arrow", ".arrows", ".feather", ".ipc")
    magic = (b"ARROW1", b"\xff\xff\xff\xff")
    version = 2

    def ranges(self, path: str, size: int, target: int) -> list[tuple[int, int]]:
        """Ranges of record batches."""
        try:
            return balanced([m.end - m.begin for m in _all(path, size) if m.kind == BATCH], target)
        except BadFileError:
            return []

    def rows(self, part: Part) -> int | None:
        """Rows of the part's record batches, as their headers say."""
        try:
            rows = [m.rows for m in _all(part.path, part.size) if m.kind == BATCH]
        except BadFileError:
            return 0
        return sum(rows if part.whole else rows[part.begin : part.end])

    def schema(self, part: Part, spec: SourceSpec) -> pa.Schema:
        """The schema in the file's first message."""
        with open_file(part.path) as f, faults_of(part.path, _UNREADABLE):
            for m in messages(f, storage.stat(part.path).size):
                if m.kind == SCHEMA:
                    return readable(pa.ipc.open_stream(Spliced(f, [m])).schema)
            raise ValueError("it has no schema")

    def read(self, part: Part, spec: SourceSpec, budget: Budget, bad: BadRows, rows: int) -> Rows:
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
            raise BadFileError(part.path, f"{_UNREADABLE} (it has no schema)")
        for m in stream:
            budget.spend(m.decoded + (m.rows if m.kind == BATCH else 0))
            budget.check_at_once(m.decoded, "a record batch")
        with open_file(part.path) as f, faults_of(part.path, "is corrupt"):
            reader = pa.ipc.open_stream(Spliced(f, stream))
            readable(reader.schema)
            for batch in reader:
                yield batch, rows_from(first)
                first += batch.num_rows
