"""JSON lines: blocks of whole lines through Arrow's parser; line by line only where a block has a fault.

What does not parse, is no object, has text that is no string, or is not UTF-8, is a bad row with its line number; the rest
of its block is kept. Strings stay strings (Arrow would make dates of some); a column whose values have no common type
becomes a string: text as it is, anything else as JSON. Integers beyond 64 bits become doubles, but for ids. An
object may have a key twice: the last one counts.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json as pj

from corpusmill.transforms import storage
from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.compressed import open_stream
from corpusmill.transforms.sources.files import Part, compression_of
from corpusmill.transforms.sources.format import Format, Rows
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.lines import Block, blocks
from corpusmill.transforms.sources.rows import AS_STRING, Place
from corpusmill.transforms.sources.schema import MAX_DEPTH, depth, json_text
from corpusmill.transforms.sources.spec import IDS, SourceSpec

SLOW = 256 << 10
"""A block with a fault is cut in pieces down to this size before it is read line by line."""
_NESTING = 200
_OBJECT = re.compile(rb"\s*\{")


@njit(nogil=True, cache=True)
def _deepest(data: Any) -> int:
    """The deepest nesting before the first fault of a block: Arrow's parser recurses and would overrun its stack."""
    deepest = 0
    depth = 0
    inside = False
    i = 0
    while i < len(data):
        c = data[i]
        if inside:
            if c == 34:
                inside = False
            elif c == 92:
                i += 1
        elif c == 34:
            inside = True
        elif c == 123 or c == 91:
            depth += 1
            deepest = max(deepest, depth)
        elif c == 125 or c == 93:
            depth = max(0, depth - 1)
        i += 1
    return deepest


def _without_dates(t: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(t):
        return pa.string()
    if pa.types.is_struct(t):
        return pa.struct([(f.name, _without_dates(f.type)) for f in t])
    if pa.types.is_list(t):
        return pa.list_(_without_dates(t.value_type))
    return t


def _valid_utf8(data: bytes) -> bool:
    buffers = [None, pa.py_buffer(np.array([0, len(data)], np.int32)), pa.py_buffer(data)]
    try:
        pa.StringArray.from_buffers(1, buffers[1], buffers[2]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _sound(column: pa.ChunkedArray) -> bool:
    """Whether offsets are as they should be: Arrow's parser loses values of lists that begin with null."""
    if not pa.types.is_nested(column.type):
        return True
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


class Parser:
    """Parses the blocks of one file."""

    def __init__(self, spec: SourceSpec, part: Part, bad: BadRows) -> None:
        self.spec, self.part, self.bad = spec, part, bad
        self.text = spec.column("text") or "text"
        self.scalars = {c for r, c in spec.columns.items() if r in AS_STRING}
        # what may name a document is the same text wherever a block begins: no type is taken from the rows beside it
        self.texts = self.scalars | (set() if "id" in spec.columns else set(IDS))
        self.id = spec.column("id")
        self.types: dict[str, pa.DataType] = {self.text: pa.string()}
        self.order: dict[str, None] = {}

    @functools.cached_property
    def lines_before(self) -> int:
        """Lines of the file before this part: counted only when a bad row asks for its number."""
        count, left = 0, self.part.begin
        if left:
            with storage.open_input(self.part.path) as f:
                while left > 0 and (data := f.read(min(left, 1 << 20))):
                    count, left = count + data.count(b"\n"), left - len(data)
                # a line that began before the range is not ours, but its end is behind `begin`
                f.seek(self.part.begin - 1)
                if f.read(1) != b"\n":
                    count += 1
        return count

    def place(self, lines: Any) -> Place:
        """Positions, given the line (0-based, in the part) of each row of a batch."""
        return lambda rows: [self.lines_before + int(lines[r]) + 1 for r in rows]

    def parse(self, data: bytes, first: int) -> Iterator[tuple[pa.RecordBatch, Place]]:
        """Batches of the good rows of a block whose first line is number `first`."""
        fast = self._fast(data)
        if fast is not None:
            batch, lines = fast
            if batch.num_rows:
                yield batch, self.place(first + lines)
            return
        if len(data) <= SLOW:
            yield from self._slow(data, first)
            return
        step = max(SLOW, len(data) // 8)
        begin = 0
        while begin < len(data):
            end = data.find(b"\n", min(begin + step, len(data)) - 1) + 1 or len(data)
            piece = data[begin:end]
            if len(piece) == len(data):
                yield from self._slow(data, first)
                return
            yield from self.parse(piece, first)
            first += piece.count(b"\n")
            begin = end

    def _fast(self, data: bytes) -> tuple[pa.RecordBatch, np.ndarray] | None:
        if not _valid_utf8(data):
            return None
        if not data.strip():
            return pa.RecordBatch.from_arrays([], names=[]), np.arange(0)
        if not _OBJECT.match(data):
            return None  # Arrow's parser ends the process at a `null` before the first object
        # few brackets cannot nest deeply; small files then need no kernel, whose first use costs 40 ms
        few = data.count(b"{") + data.count(b"[") <= _NESTING
        if not few and _deepest(np.frombuffer(data, np.uint8)) > _NESTING:
            return None
        read = pj.ReadOptions(use_threads=False, block_size=len(data) + 1)
        table = None
        for _ in range(2):
            options = pj.ParseOptions(explicit_schema=pa.schema(list(self.types.items())))
            try:
                table = pj.read_json(pa.BufferReader(data), read_options=read, parse_options=options)
            except (pa.ArrowException, UnicodeDecodeError, ValueError):
                return None
            if not self.order:
                # explicit columns come first: the order of the file is that of its first line
                try:
                    self.order = dict.fromkeys(json.loads(data.lstrip().split(b"\n", 1)[0]))
                except (ValueError, TypeError, RecursionError):
                    return None
            dates = {f.name: _without_dates(f.type) for f in table.schema if _without_dates(f.type) != f.type}
            if not dates:
                break
            self.types.update(dates)
        if table is None or len(set(table.column_names)) < len(table.column_names):
            return None
        for f, column in zip(table.schema, table.columns, strict=True):
            if depth(f.type) > MAX_DEPTH or not _sound(column):
                return None
            if f.name in self.texts and (
                pa.types.is_nested(f.type) or pa.types.is_floating(f.type) or pa.types.is_boolean(f.type)
            ):
                return None  # ids beyond 64 bits would be rounded
        self.order.update(dict.fromkeys(table.column_names))
        lines = np.arange(data.count(b"\n") + (not data.endswith(b"\n")))
        if len(lines) != table.num_rows:
            lines = np.array([i for i, line in enumerate(data.split(b"\n")) if line.strip()], np.int64)
            if len(lines) != table.num_rows:
                return None
        present = set(table.column_names)
        table = table.select([n for n in self.order if n in present]).combine_chunks()
        if table.num_columns == 0:
            return None
        return table.to_batches()[0], lines

    def _slow(self, data: bytes, first: int) -> Iterator[tuple[pa.RecordBatch, Place]]:
        rows: list[dict[str, Any]] = []
        lines: list[int] = []
        for i, line in enumerate(data.split(b"\n")):
            if not line.strip():
                continue
            try:
                rows.append(self._row(line))
                lines.append(first + i)
            except _BadLineError as fault:
                several = self._ended_by_cr(line)
                if several:
                    rows += several
                    lines += [first + i] * len(several)
                    continue
                self.bad.saw(1)
                reason, detail = fault.args
                self.bad.add(self.part.path, self.lines_before + first + i + 1, reason, detail, line)
        names = dict.fromkeys(k for row in rows for k in row)
        self.order.update(names)
        if not rows:
            return
        arrays = [self._column(k, [row.get(k) for row in rows]) for k in names] or [pa.nulls(len(rows))]
        yield pa.RecordBatch.from_arrays(arrays, names=list(names) or [self.text]), self.place(lines)

    def _ended_by_cr(self, line: bytes) -> list[dict[str, Any]]:
        """The objects of a line that holds several, each ended by a carriage return (as old Macs do); else none."""
        pieces = [p for p in line.split(b"\r") if p.strip()]
        if len(pieces) < 2:
            return []
        try:
            return [self._row(p) for p in pieces]
        except _BadLineError:
            return []

    def _row(self, line: bytes) -> dict[str, Any]:
        try:
            row = json.loads(line.decode())
            json.dumps(row, ensure_ascii=False).encode() if b"\\u" in line else None
        except UnicodeDecodeError as error:
            raise _BadLineError("not-utf8", f"byte {error.start + 1} of the line") from None
        except UnicodeEncodeError:
            raise _BadLineError("not-utf8", "half of a surrogate pair") from None
        except ValueError as error:
            raise _BadLineError("not-json", str(error)) from None
        except RecursionError:
            raise _BadLineError("not-json", "nested too deep") from None
        if row is None:
            return {}  # as Arrow reads it: a row of nulls
        if not isinstance(row, dict):
            raise _BadLineError("wrong-type", f"the line is a JSON {_kind(row)}, not an object")
        text = row.get(self.text)
        if text is not None and not isinstance(text, str):
            raise _BadLineError("wrong-type", f"'{self.text}' is a JSON {_kind(text)}, not a string")
        for name in self.scalars:
            if isinstance(row.get(name), dict | list):
                raise _BadLineError("wrong-type", f"'{name}' is a JSON {_kind(row[name])}, not a string or number")
        return row

    def _column(self, name: str, values: list[Any]) -> pa.Array:
        if name == self.text or name in self.texts:
            return pa.array([json_text(v) for v in values], pa.string())
        try:
            array = pa.array(values, self.types.get(name))
            if depth(array.type) <= MAX_DEPTH and (name in self.types or not pa.types.is_temporal(array.type)):
                return array
        except OverflowError:
            if all(v is None or isinstance(v, int | float) for v in values):
                return pa.array([None if v is None else float(v) for v in values], pa.float64())
        except (pa.ArrowException, TypeError, ValueError, RecursionError):
            pass
        return pa.array([json_text(v) for v in values], pa.string())


class _BadLineError(Exception):
    """(reason, detail) of a line that is no document."""


def _kind(value: Any) -> str:
    names: dict[type, str] = {
        dict: "object",
        list: "array",
        str: "string",
        bool: "boolean",
        int: "number",
        float: "number",
    }
    return names.get(type(value), "null")


def _block(parser: Parser, block: Block, part: Part, spec: SourceSpec) -> Iterator[tuple[pa.RecordBatch, Place]]:
    data = block.data
    if block.first == 0 and part.begin == 0:
        data = data.removeprefix(b"\xef\xbb\xbf")
        if data.lstrip()[:1] == b"[":
            todo = "write one object a line (`jq -c '.[]'` does), or set `on_bad_file: skip`"
            raise BadFileError(part.path, "is one JSON array, not one JSON object a line", todo)
    if block.oversize:
        if re.search(rb"}\s*\r\s*\{", data):
            todo = "write line feeds (`tr '\\r' '\\n'` does), or set `on_bad_file: skip`"
            raise BadFileError(
                part.path, "has lines that end with carriage returns alone, too many for one block", todo
            )
        parser.bad.saw(1)
        detail = f"a line of more than {2 * spec.max_document_bytes} bytes; see max_document_bytes"
        parser.bad.add(part.path, parser.lines_before + block.first + 1, "too-long", detail, data)
        return
    yield from parser.parse(data, block.first)


class Jsonl(Format):
    """JSON lines; plain files are cut at line ends."""

    name = "jsonl"
    extensions = (".jsonl", ".ndjson", ".json")
    magic = (b"{",)
    version = 2
    by_bytes = True
    grows = True
    inferred = True
    lenient = True
    fails_whole = False  # but for its start, a plain file is good line by line

    def ranges(self, path: str, size: int, target: int) -> list[tuple[int, int]]:
        """Ranges of bytes; a range holds the lines that begin in it. A compressed file is not cut."""
        n = 1 if compression_of(path) else -(-size // target)
        return list(itertools.pairwise(size * i // n for i in range(n + 1)))

    def read(self, part: Part, spec: SourceSpec, budget: Budget, bad: BadRows, rows: int) -> Rows:
        """Batches of the lines that begin in the part, and the line number of each row; bad lines go to `bad`."""
        parser = Parser(spec, part, bad)
        max_line = 2 * spec.max_document_bytes + (1 << 20)
        length = None if part.whole else part.end - part.begin
        with open_stream(part.path, budget, max(0, part.begin - 1)) as stream:
            for block in blocks(stream, length, part.begin > 0, max_line):
                yield from _block(parser, block, part, spec)
