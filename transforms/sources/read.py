"""One split to documents, batch by batch.

All batches of a split have one schema. Parquet and Arrow know it from their footers and stream; JSON lines and streamed data
sets are held back by a `Spool` until their last type is known. Under `on_bad_file: skip` each file is read to its end before
its first row is given out, so that a file quarantined whole leaves no rows behind.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa

from corpusmill.transforms.errors import BadFileError, UnreadableFileError
from corpusmill.transforms.sources import formats
from corpusmill.transforms.sources.archives import Archive, Member
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.files import Part
from corpusmill.transforms.sources.format import Format
from corpusmill.transforms.sources.identity import check_unchanged, unchanged
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.rows import Documents, check_structure, decoded_bytes, pieces, shifted, together
from corpusmill.transforms.sources.schema import conform, unify
from corpusmill.transforms.sources.spec import SourceSpec
from corpusmill.transforms.sources.splits import Split
from corpusmill.transforms.sources.spool import Spool

BATCH_BYTES, BATCH_ROWS = 16 << 20, 4096


def _documents(
    form: Format,
    part: Part,
    spec: SourceSpec,
    bad: BadRows,
    size: int,
    rows: int,
    outer: Budget | None = None,
) -> Iterator[pa.RecordBatch]:
    """Documents of one part. outer: the budget of the archive that it lies in."""
    budget = Budget(part.path, part.size, spec.max_expansion, outer)
    if isinstance(form, Archive):
        members = form.members(part, spec, budget, bad)
        read = (_member(m, form.of_members(spec, m.format), bad, size, rows, budget) for m in members)
        yield from together(itertools.chain.from_iterable(read), size, rows)
        return
    makers: dict[tuple[str, ...], Documents] = {}
    with bad.bounded(part.path, spec.max_bad_fraction):
        for batch, place in form.read(part, spec, budget, bad, rows):
            check_structure(batch, part.path)
            names = tuple(batch.schema.names)
            if form.inferred or names not in makers:
                makers[names] = Documents(spec, part.path, batch.schema, budget, lenient=form.lenient)
            if any(pa.types.is_dictionary(f.type) or pa.types.is_run_end_encoded(f.type) for f in batch.schema):
                budget.spend(decoded_bytes(batch))
            start = 0
            for piece in pieces(batch, rows, size):
                begin = start
                start += piece.num_rows
                out = makers[names].make(piece, shifted(place, begin), bad)
                if out.num_rows:
                    yield out


def _member(
    member: Member, spec: SourceSpec, bad: BadRows, size: int, rows: int, budget: Budget
) -> Iterator[pa.RecordBatch]:
    """Documents of a file in an archive; under `on_bad_file: skip` a bad one is quarantined, and the archive goes on."""
    part = member.part
    bad.holds(part, member.shown, member.stored)
    try:
        if member.fault is None:
            yield from _part(formats.load(member.format), part, spec, bad, size, rows, budget)
        elif spec.on_bad_file == "skip":
            bad.add_file(part.path, member.fault.what)
        else:
            raise member.fault
    except GeneratorExit:
        raise
    except (BadFileError, UnreadableFileError) as error:
        # what names the temporary file is told by the member's own name
        if error.path != part.path:
            raise
        raise type(error)(member.shown, error.what.replace(part.path, member.shown), error.todo) from error


def _part(
    form: Format, part: Part, spec: SourceSpec, bad: BadRows, size: int, rows: int, outer: Budget | None = None
) -> Iterator[pa.RecordBatch]:
    """Documents of one part; under `on_bad_file: skip` all of them, or one quarantine row."""
    documents = _documents(form, part, spec, bad, size, rows, outer)
    if spec.on_bad_file == "error":
        yield from documents
        return
    if not part.whole:
        # a fault in one range condemns the file in every split that reads a range of it, and each must come to that alone
        everything = replace(part, begin=0, end=part.size, whole=True)
        fault = _check(form, everything, spec, rows) if form.fails_whole else None
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
            if outer is not None and fault.path == outer.path:  # the archive is to blame
                raise
            bad.rollback(mark)
            bad.add_file(part.path, fault.what)
            return
        yield from spool.replay()


def _check(form: Format, part: Part, spec: SourceSpec, rows: int) -> BadFileError | None:
    """Read a whole file, only to know whether it is good."""
    budget = Budget(part.path, part.size, spec.max_expansion)
    try:
        for batch, _ in form.read(part, spec, budget, BadRows(spec.name), rows):
            Documents(spec, part.path, batch.schema, budget)
    except BadFileError as fault:
        return fault
    return None


def _inner(split: Split, spec: SourceSpec) -> SourceSpec:
    """The source as the files see it that a list of files names."""
    if spec.format in ("auto", split.format) or not formats.known()[spec.format].lists:
        return spec
    return spec.model_copy(update={"format": split.format, "options": spec.options.get("options", {})})


def schema_of(split: Split, spec: SourceSpec) -> pa.Schema | None:
    """The schema of a split's documents from the files' own metadata; None where only reading tells it (JSON lines, hf://), or
    where no file of the split can be read."""
    form, spec = formats.load(split.format), _inner(split, spec)
    schemas = []
    for part in split.parts:
        try:
            own = form.schema(part, spec)
            if own is None:
                return None
            schemas.append(Documents(spec, part.path, own, Budget(part.path, part.size, 1)).schema(own))
        except BadFileError:
            check_unchanged(part, form.grows)
            if spec.on_bad_file == "error":
                raise
        if form.small and schemas:  # every file has the same
            break
    return unify(schemas) if schemas else None


def read_split(
    split: Split, spec: SourceSpec, bad: BadRows, batch_bytes: int = BATCH_BYTES, batch_rows: int = BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """The split's documents in batches of one schema: `id`, `text`, `source`, roles, the user's columns. Rows that cannot be
    documents go to `bad`; a file that cannot be read raises BadFileError, or goes to `bad` under `on_bad_file: skip`."""
    form, spec = formats.load(split.format), _inner(split, spec)
    bad.reads(split.parts)
    parts = (
        batch
        for part in split.parts
        for batch in unchanged(part, _part(form, part, spec, bad, batch_bytes, batch_rows), form.grows)
    )
    if form.inferred:
        with Spool() as spool:
            for batch in parts:
                spool.append(batch)
            schema = unify(spool.schemas)
            for batch in spool.replay():
                yield conform(batch, schema)
        return
    schema = schema_of(split, spec) or pa.schema([])
    documents = (conform(b, schema) for b in parts)
    yield from together(documents, batch_bytes, batch_rows) if form.small or len(split.parts) > 1 else documents
