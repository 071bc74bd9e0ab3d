"""One split to documents, batch by batch.

All batches of a split have one schema. Parquet and Arrow know it from their footers and stream; JSON lines and streamed data
sets are held back by a `Spool` until their last type is known. Under `on_bad_file: skip` each file is read to its end before
its first row is given out, so that a file quarantined whole leaves no rows behind.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from corpusmill.transforms.errors import BadFileError, EngineError
from corpusmill.transforms.sources import arrow, hf, jsonl, machine_docs, parquet, text
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.files import Part
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.rows import Documents, Place, decoded_bytes, pieces, shifted, together
from corpusmill.transforms.sources.schema import conform, unify
from corpusmill.transforms.sources.spec import SourceSpec
from corpusmill.transforms.sources.splits import Split
from corpusmill.transforms.sources.spool import Spool

BATCH_BYTES, BATCH_ROWS = 16 << 20, 4096
_INFERRED = ("jsonl", "hf")
_NARROW = ("text", "machine-docs")


def _raw(
    file_format: str, part: Part, spec: SourceSpec, budget: Budget, bad: BadRows, rows: int
) -> Iterator[tuple[pa.RecordBatch, Place]]:
    if file_format == "parquet":
        return parquet.read(part, spec, budget, rows)
    if file_format == "arrow":
        return arrow.read(part, budget)
    if file_format == "jsonl":
        return jsonl.read(part, spec, budget, bad)
    if file_format == "text":
        return text.read(part, spec, budget, bad)
    if file_format == "machine-docs":
        return machine_docs.read(part, spec, budget, bad)
    if file_format == "hf":
        return hf.read(part, spec, budget, rows)
    raise EngineError(f"no reader for format '{file_format}'")


def _documents(
    file_format: str, part: Part, spec: SourceSpec, bad: BadRows, size: int, rows: int
) -> Iterator[pa.RecordBatch]:
    """Documents of one part."""
    budget = Budget(part.path, part.size, spec.max_expansion)
    makers: dict[tuple[str, ...], Documents] = {}
    for batch, place in _raw(file_format, part, spec, budget, bad, rows):
        names = tuple(batch.schema.names)
        if file_format in _INFERRED or names not in makers:
            makers[names] = Documents(spec, part.path, batch.schema, budget, lenient=file_format == "jsonl")
        if any(pa.types.is_dictionary(f.type) or pa.types.is_run_end_encoded(f.type) for f in batch.schema):
            budget.spend(decoded_bytes(batch))
        start = 0
        for piece in pieces(batch, rows, size):
            begin = start
            start += piece.num_rows
            out = makers[names].make(piece, shifted(place, begin), bad)
            if out.num_rows:
                yield out


def _part(
    file_format: str, part: Part, spec: SourceSpec, bad: BadRows, size: int, rows: int
) -> Iterator[pa.RecordBatch]:
    """Documents of one part; under `on_bad_file: skip` all of them, or one quarantine row."""
    documents = _documents(file_format, part, spec, bad, size, rows)
    if spec.on_bad_file == "error":
        yield from documents
        return
    if not part.whole:
        # a fault in one range condemns the file in every split that reads a range of it, and each must come to that alone
        part_whole = Part(part.path, part.name, part.size, part.digest, 0, part.size, True)
        fault = _check(file_format, part_whole, spec, rows)
        if fault is not None:
            if part.begin == 0:
                bad.add_file(part.path, fault.what)
            return
    mark = bad.mark()
    with Spool() as spool:
        try:
            for batch in documents:
                spool.append(batch)
        except BadFileError as fault:
            bad.rollback(mark)
            bad.add_file(part.path, fault.what)
            return
        yield from spool.replay()


def _check(file_format: str, part: Part, spec: SourceSpec, rows: int) -> BadFileError | None:
    """Read a whole file, only to know whether it is good. Plain JSON lines cannot be bad as a file, but for their start."""
    budget = Budget(part.path, part.size, spec.max_expansion)
    throwaway = BadRows(spec.name)
    if file_format == "jsonl":
        return None
    try:
        for batch, _ in _raw(file_format, part, spec, budget, throwaway, rows):
            Documents(spec, part.path, batch.schema, budget)
    except BadFileError as fault:
        return fault
    return None


def schema_of(split: Split, spec: SourceSpec) -> pa.Schema | None:
    """The schema of a split's documents from the files' own metadata; None where only reading tells (JSON lines, hf://), or
    where no file of the split can be read."""
    if split.format in _INFERRED:
        return None
    if split.format in _NARROW:
        own = text.SCHEMA if split.format == "text" else machine_docs.SCHEMA
        return Documents(spec, split.parts[0].path, own, Budget("", 0, 1)).schema(own)
    schemas = []
    for part in split.parts:
        try:
            own = parquet.schema_of(part.path) if split.format == "parquet" else arrow.schema_of(part.path)
            schemas.append(Documents(spec, part.path, own, Budget(part.path, part.size, 1)).schema(own))
        except BadFileError:
            if spec.on_bad_file == "error":
                raise
    return unify(schemas) if schemas else None


def read_split(
    split: Split, spec: SourceSpec, bad: BadRows, batch_bytes: int = BATCH_BYTES, batch_rows: int = BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """The split's documents in batches of one schema: `id`, `text`, `source`, roles, the user's columns. Rows that cannot be
    documents go to `bad`; a file that cannot be read raises BadFileError, or goes to `bad` under `on_bad_file: skip`."""
    bad.reads(split.parts)
    parts = (b for p in split.parts for b in _part(split.format, p, spec, bad, batch_bytes, batch_rows))
    if split.format in _INFERRED:
        with Spool() as spool:
            for batch in parts:
                spool.append(batch)
            schema = unify(spool.schemas)
            for batch in spool.replay():
                yield conform(batch, schema)
        return
    schema = schema_of(split, spec) or pa.schema([])
    documents = (conform(b, schema) for b in parts)
    small = split.format in _NARROW or len(split.parts) > 1
    yield from together(documents, batch_bytes, batch_rows) if small else documents
