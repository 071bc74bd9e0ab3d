"""From what a file holds to documents: `id`, `text`, `source`, the roles, then the user's columns, each row checked.

Names: a role's column is renamed to the role. Any other column keeps its name, unless that is `id`, `text`, `source`,
`parent`, `derived_by` or a role that is filled from elsewhere: then it gets a trailing underscore (`source_`), so that no
column of the user's is lost or mistaken for ours.

Ids: the column that has the role. Where the recipe names none, each row's `id`, else its `url`, else a hash of source and text.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.transforms.document import CORE, LINEAGE, text_ids
from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.settings.spelling import closest
from corpusmill.transforms.sources.bad import RAW_BYTES, BadRows
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.opened import first_line
from corpusmill.transforms.sources.schema import MAX_DEPTH, as_type, depth, json_text, plain_type
from corpusmill.transforms.sources.spec import IDS, Role, SourceSpec

Place = Callable[[np.ndarray], list[int]]
"""From row numbers of a batch to the positions (1-based lines or rows) that a quarantine row names."""

AS_STRING = ("id", "user", "lang")


def empty(spec: SourceSpec) -> pa.RecordBatch:
    """The documents of a file that holds none: what its other columns would be is not known, and the roles' types hardly."""
    types = dict.fromkeys(CORE, pa.string())
    if spec.priority is not None:
        types["priority"] = pa.int64()
    for role in get_args(Role):
        if role in spec.columns:
            types.setdefault(role, pa.string() if role in AS_STRING else pa.null())
    return pa.RecordBatch.from_arrays([pa.nulls(0, t) for t in types.values()], schema=pa.schema(list(types.items())))


def rows_from(first: int) -> Place:
    """Positions of a batch whose first row is row number `first` (from 0) of the file."""
    return lambda rows: [first + int(r) + 1 for r in rows]


def shifted(place: Place, begin: int) -> Place:
    """The places of a slice that begins at row `begin`."""
    return lambda rows: place(rows + begin)


def naming(spec: SourceSpec, schema: pa.Schema) -> list[str]:
    """The columns that name documents without being asked for, the first that is there and not empty counting: `id` and `url`,
    where they are of texts or whole numbers, and `columns` gives nobody the role."""
    if "id" in spec.columns:
        return []
    taken = set(spec.columns.values())
    return [n for n in IDS if n not in taken and schema.names.count(n) == 1 and _names_rows(schema.field(n).type)]


def _names_rows(t: pa.DataType) -> bool:
    t = plain_type(t)
    return pa.types.is_string(t) or pa.types.is_integer(t)


def layout(
    spec: SourceSpec, names: list[str], path: str, lenient: bool, ids: list[str] | None = None
) -> list[tuple[str, str]]:
    """(name of ours, name in the file) of each column to take, roles first. `lenient`: absent columns are read as null. ids: what
    `naming` gave; a column `id` among them is not taken a second time."""
    roles = [(role, spec.column(role)) for role in get_args(Role)]
    taken = [(role, name) for role, name in roles if name is not None]
    filled = {name for _, name in taken}
    used_up = {"id"} & set(ids or ())
    keep = [n for n in names if n not in filled | used_up] if spec.keep is None else list(spec.keep)
    counts = Counter(names)
    for name in [n for _, n in taken] + keep:
        if counts[name] > 1:
            raise BadFileError(path, f"has {counts[name]} columns named '{name}'")
        if name not in counts and not lenient:
            near = closest(name, names)
            hint = (
                f"; did you mean '{near[0]}'?"
                if near
                else f"; it has {', '.join(map(repr, sorted(names)[:20])) or 'none'}"
            )
            raise BadFileError(path, f"has no column '{name}'{hint}", "correct `columns` or `keep` of its source")
    used = (
        {role for role, _ in taken} | set(CORE) | set(LINEAGE) | ({"priority"} if spec.priority is not None else set())
    )
    for name in keep:
        if name in filled:
            continue
        ours = name
        while ours in used:
            ours += "_"
        used.add(ours)
        filled.add(name)
        taken.append((ours, name))
    return taken


def _decoded(column: pa.Array) -> int:
    """Bytes of a column once dictionaries and runs are written out."""
    if pa.types.is_run_end_encoded(column.type):
        longest = column.values.nbytes if pa.types.is_nested(column.values.type) or _has_text(column.values) else 16
        return longest * len(column)
    if isinstance(column, pa.DictionaryArray):
        values = column.dictionary
        if _has_text(values):
            # the sum of the lengths that the indices choose, in integers wide enough
            lengths = pc.binary_length(values).cast(pa.int64())
            return pc.sum(lengths.take(column.indices)).as_py() or 0
        return values.nbytes // max(1, len(values)) * len(column)
    return column.nbytes


def _has_text(array: pa.Array) -> bool:
    return isinstance(array, pa.StringArray | pa.LargeStringArray | pa.BinaryArray | pa.LargeBinaryArray)


def decoded_bytes(batch: pa.RecordBatch) -> int:
    """Bytes of a batch once dictionaries and runs are written out."""
    return 8 * batch.num_rows + sum(_decoded(c) for c in batch.columns)


def _decode(column: pa.Array, name: str, faults: Faults) -> pa.Array:
    """A text column; where it is not UTF-8 throughout, row by row: such rows become null and are given a reason."""
    values: list[str | None] = []
    large = pa.types.is_large_string(column.type) or pa.types.is_large_binary(column.type)
    column = column.cast(pa.large_binary() if large else pa.binary())
    with contextlib.suppress(pa.ArrowInvalid):
        return column.cast(pa.string())
    for r, value in enumerate(column.to_pylist()):
        try:
            values.append(None if value is None else value.decode())
        except UnicodeDecodeError:
            values.append(None)
            faults.add([r], "not-utf8", f"column '{name}' is not valid UTF-8")
    return pa.array(values, pa.string())


def pieces(batch: pa.RecordBatch, rows: int, size: int) -> Iterator[pa.RecordBatch]:
    """The batch in order, in slices of at most `rows` rows and, but for single rows, about `size` decoded bytes."""
    for i in range(0, batch.num_rows, rows):
        part = batch.slice(i, rows)
        stack = [part]
        while stack:
            part = stack.pop()
            if part.num_rows > 1 and decoded_bytes(part) > 2 * size:
                half = part.num_rows // 2
                stack += [part.slice(half), part.slice(0, half)]
            else:
                yield part


def together(batches: Iterator[pa.RecordBatch], size: int, rows: int) -> Iterator[pa.RecordBatch]:
    """Small batches put together while their schema is the same (a folder of text files gives one row at a time)."""
    held: list[pa.RecordBatch] = []
    n = held_bytes = 0
    for batch in batches:
        full = n + batch.num_rows > rows or held_bytes + batch.nbytes > size
        if held and (full or not batch.schema.equals(held[0].schema)):
            yield pa.concat_batches(held)
            held, n, held_bytes = [], 0, 0
        held.append(batch)
        n, held_bytes = n + batch.num_rows, held_bytes + batch.nbytes
    if held:
        yield pa.concat_batches(held)


def _faulty_rows(column: pa.Array) -> list[int]:
    """Rows of a nested column that fail validation, by bisection (a slice would keep its whole children)."""
    faulty, stack = [], [(0, len(column))]
    while stack:
        begin, end = stack.pop()
        try:
            column.take(pa.array(range(begin, end))).validate(full=True)
        except pa.ArrowInvalid:
            if end - begin == 1:
                faulty.append(begin)
            else:
                middle = (begin + end) // 2
                stack += [(begin, middle), (middle, end)]
    return sorted(faulty)


class Documents:
    """Makes documents of the batches of one file."""

    def __init__(self, spec: SourceSpec, path: str, schema: pa.Schema, budget: Budget, lenient: bool = False) -> None:
        self.spec, self.path, self.budget = spec, path, budget
        self.naming = naming(spec, schema)
        self.columns = layout(spec, schema.names, path, lenient, self.naming)
        for ours, name in self.columns:
            i = schema.get_field_index(name)
            t = plain_type(schema.field(i).type) if i >= 0 else pa.null()
            if ours == "text" and not (pa.types.is_string(t) or pa.types.is_binary(t) or pa.types.is_null(t)):
                what = f"column '{name}' holds {t}, not text"
                raise BadFileError(path, what, "name the column with the text under `columns: {text: NAME}`")
            if ours in AS_STRING and pa.types.is_nested(t):
                raise BadFileError(path, f"column '{name}' holds {t} and cannot be the {ours}", "correct `columns`")

    def make(self, batch: pa.RecordBatch, place: Place, bad: BadRows) -> pa.RecordBatch:
        """Documents of `batch`; rows that cannot be one go to `bad`."""
        n = batch.num_rows
        bad.saw(n)
        faults = Faults(n)
        columns: dict[str, pa.Array] = {}
        for ours, name in self.columns:
            i = batch.schema.get_field_index(name)
            column = pa.nulls(n) if i < 0 else self._checked(batch.column(i), name, faults)
            columns[ours] = self._typed(column, ours, name, faults)
        named = [
            self._typed(self._checked(batch.column(name), name, faults), "id", name, faults) for name in self.naming
        ]
        text = columns["text"]
        if text.null_count:
            faults.add(text.is_null(), "null-text", f"column '{self.spec.column('text')}' is null")
        if text.nbytes > self.spec.max_document_bytes:
            long = pc.greater(pc.binary_length(text), self.spec.max_document_bytes).fill_null(False)
            faults.add(long, "too-long", f"more than max_document_bytes={self.spec.max_document_bytes}")
        if "id" in columns and columns["id"].null_count:
            faults.add(columns["id"].is_null(), "no-id", f"column '{self.spec.column('id')}' is null")
        faulty = faults.rows()
        if len(faulty):
            raws = self._raws(batch, faulty) if bad.keeps_raw() else []
            bad.add_rows(self.path, place(faulty), *faults.words(faulty), raws)
            mask = pa.array(faults.codes == 0)
            columns = {k: v.filter(mask) for k, v in columns.items()}
            named = [v.filter(mask) for v in named]
            n -= len(faulty)
        text = columns.pop("text")
        ids = columns.pop("id") if "id" in columns else self._ids(named, text)
        out = {"id": ids, "text": text, "source": _constant(self.spec.name, n)}
        if self.spec.priority is not None:
            out["priority"] = pa.array(np.full(n, self.spec.priority, np.int64))
        return pa.RecordBatch.from_arrays([*out.values(), *columns.values()], names=[*out, *columns])

    def _ids(self, named: list[pa.Array], text: pa.Array) -> pa.Array:
        """The first of the columns that names a row, else a hash of its text."""
        ids: pa.Array | None = None
        for column in named:
            if ids is None or ids.null_count:
                column = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
                ids = column if ids is None else pc.coalesce(ids, column)
        if ids is None:
            return text_ids(self.spec.name, text)
        return pc.coalesce(ids, text_ids(self.spec.name, text)) if ids.null_count else ids

    def schema(self, schema: pa.Schema) -> pa.Schema:
        """The documents' schema, for a file of this schema."""
        empty = pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in schema], schema=_nullable(schema))
        return self.make(empty, rows_from(0), BadRows(self.spec.name)).schema

    def _checked(self, column: pa.Array, name: str, faults: Faults) -> pa.Array:
        """The column, whose bytes that are not UTF-8 are faults of their rows. Its offsets are known to be sound."""
        with contextlib.suppress(pa.ArrowInvalid):
            column.validate(full=True)
            return column
        if pa.types.is_nested(column.type):
            faults.add(_faulty_rows(column), "not-utf8", f"column '{name}' is not valid UTF-8")
            return column
        if isinstance(column, pa.DictionaryArray):
            values = column.dictionary
            values = values.cast(pa.large_binary() if pa.types.is_large_string(values.type) else pa.binary())
            coded = pa.DictionaryArray.from_arrays(column.indices, values)
            self.budget.check_at_once(_decoded(coded), f"column '{name}'")
            return _decode(coded.dictionary_decode(), name, faults)
        return _decode(column, name, faults)

    def _typed(self, column: pa.Array, ours: str, name: str, faults: Faults) -> pa.Array:
        if isinstance(column, pa.DictionaryArray) or pa.types.is_run_end_encoded(column.type):
            self.budget.check_at_once(_decoded(column), f"column '{name}'")
        t = plain_type(column.type)
        if ours == "text" or ours in AS_STRING:
            if pa.types.is_fixed_size_binary(column.type):
                return pa.array([None if v is None else v.hex() for v in column.to_pylist()], pa.string())
            t = pa.string()
            if pa.types.is_binary(plain_type(column.type)):
                return _decode(as_type(column, pa.binary()), name, faults)
        elif depth(t) > MAX_DEPTH:
            t = pa.string()
        try:
            return as_type(column, t)
        except (pa.ArrowException, ValueError, OverflowError) as error:
            raise BadFileError(self.path, f"column '{name}' cannot be read as {t}: {first_line(error)}") from error

    def _raws(self, batch: pa.RecordBatch, rows: np.ndarray) -> list[bytes | str]:
        """What is kept of rows: the beginning of the text, else all columns as JSON."""
        i = batch.schema.get_field_index(self.spec.column("text") or "text")
        texts: list[bytes | None] = [None] * len(rows)
        if i >= 0 and not pa.types.is_nested(batch.schema.field(i).type):
            with contextlib.suppress(pa.ArrowException):
                column = batch.column(i)
                if isinstance(column, pa.DictionaryArray):
                    column = column.dictionary.cast(pa.binary()).take(column.indices)
                column = column.cast(pa.large_binary()).take(pa.array(rows))
                texts = pc.binary_slice(column, 0, RAW_BYTES).to_pylist()
        return [_as_json(batch, int(row)) if t is None else t for row, t in zip(rows, texts, strict=True)]


def _as_json(batch: pa.RecordBatch, row: int) -> str:
    # a slice, because views cannot be taken
    try:
        return json_text(batch.slice(row, 1).to_pylist()[0]) or ""
    except (UnicodeDecodeError, pa.ArrowException):
        return ""


class Faults:
    """Which rows of a batch cannot be documents, and why; the first reason of a row counts."""

    def __init__(self, rows: int) -> None:
        self.codes = np.zeros(rows, np.int32)
        self._reasons: list[tuple[str, str]] = [("", "")]

    def add(self, rows: pa.Array | list[int], reason: str, detail: str) -> None:
        """Rows (numbers, or a mask) that have a fault."""
        if (reason, detail) not in self._reasons:
            self._reasons.append((reason, detail))
        index = np.asarray(rows, np.int64) if isinstance(rows, list) else np.flatnonzero(np.asarray(rows, bool))
        index = index[self.codes[index] == 0]
        self.codes[index] = self._reasons.index((reason, detail))

    def rows(self) -> np.ndarray:
        """Row numbers of all faults, int64, in order."""
        return np.flatnonzero(self.codes)

    def words(self, rows: np.ndarray) -> tuple[list[str], list[str]]:
        """Reason and detail of each of these rows."""
        pairs = [self._reasons[c] for c in self.codes[rows].tolist()]
        return [reason for reason, _ in pairs], [detail for _, detail in pairs]


def check_structure(batch: pa.RecordBatch, path: str) -> None:
    """Raises BadFileError if offsets, indices or views of a column point outside their buffers. Characters are not checked."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowException as error:
            if "UTF8" in str(error):
                with contextlib.suppress(pa.ArrowException):
                    _without_text(column).validate(full=True)
                    continue
            raise BadFileError(path, f"column '{name}' is corrupt: {first_line(error)}") from error


def _without_text(column: pa.Array) -> pa.Array:
    """The same layout without the demand for UTF-8."""
    if isinstance(column, pa.DictionaryArray):
        column.indices.validate(full=True)
        values = _without_text(column.dictionary)
        values.validate(full=True)
        return pa.DictionaryArray.from_arrays(column.indices, values, safe=True)
    if isinstance(column, pa.ExtensionArray):
        return _without_text(column.storage)
    return column.view(_as_binary(column.type))


def _as_binary(t: pa.DataType) -> pa.DataType:
    """A nested type with bytes for strings: the same layout, without the demand for UTF-8."""
    if pa.types.is_struct(t):
        return pa.struct([f.with_type(_as_binary(f.type)) for f in t])
    if pa.types.is_list(t):
        return pa.list_(t.value_field.with_type(_as_binary(t.value_type)))
    if pa.types.is_large_list(t):
        return pa.large_list(t.value_field.with_type(_as_binary(t.value_type)))
    if pa.types.is_string_view(t):
        return pa.binary_view()
    return pa.binary() if pa.types.is_string(t) else pa.large_binary() if pa.types.is_large_string(t) else t


def _nullable(schema: pa.Schema) -> pa.Schema:
    return pa.schema([f.with_nullable(True) for f in schema])


def _constant(value: str, n: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string()), n)
