"""Rows that cannot be documents: kept apart with file, position and reason, never dropped in silence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.sources.files import Part

RAW_BYTES = 4096
RAW_TOTAL = 64 << 20
RAW_ROWS = 100_000
MANY = 1 << 20
"""A part with more bad rows than this, and than the source allows, is a bad file: its quarantine would fill the memory."""
_PENDING = 4096

REASONS = (
    "null-text",
    "no-id",
    "not-utf8",
    "not-json",
    "not-csv",
    "wrong-type",
    "too-long",
    "bad-record",
    "truncated",
    "bad-file",
)

SCHEMA = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("position", pa.int64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
        pa.field("raw", pa.string(), nullable=False),
    ]
)
"""file: its name below the folder that the recipe names, so that the table is the same wherever the corpus lies; position:
1-based line (JSONL, text) or row (other formats) in the file, 0 for a file as a whole; raw: the first 4 KiB of the row, bytes
that are not UTF-8 written as \\xNN."""


def printable(name: str) -> str:
    """A file name as valid Unicode: bytes that are not UTF-8 are written as \\udcNN."""
    return name.encode("utf-8", "backslashreplace").decode()


class BadRows:
    """Collects the quarantined rows of one split, as columns.

    `rows_seen` counts good and bad rows, so that rows read = rows emitted + `count`. Raw rows are kept up to 64 MiB or 100,000
    rows in all; past that only place and reason. `bytes_seen` and `bytes_lost` are the bytes of all files, and of those that
    are quarantined whole: a file that cannot be read does not tell its rows.

    Readers name a file by its path. Of a file that was announced by `reads`, its name is kept instead; `paths` maps it back.

    >>> bad = BadRows("web")
    >>> bad.add("a.jsonl", 3, "not-json", "no closing brace", b'{"text": 1')
    >>> bad.count, bad.to_table().column("reason").to_pylist()
    (1, ['not-json'])
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.rows_seen = 0
        self.bytes_seen = self.bytes_lost = 0
        self.count = 0
        """Quarantined rows so far."""
        self.left: dict[str, tuple[int, str]] = {}
        """What files hold that is neither a document nor a fault: kind to number and first example."""
        self.paths: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._sizes: dict[str, int] = {}
        self._tables: list[pa.Table] = []
        self._pending: list[tuple[str, int, str, str, str]] = []
        self._raw_bytes = 0
        self._bound: tuple[str, float, int, int] | None = None

    @contextlib.contextmanager
    def bounded(self, path: str, fraction: float) -> Iterator[None]:
        """Within, BadFileError is raised for `path` once more than MANY of its rows, and more than this fraction, are bad."""
        outer, self._bound = self._bound, (path, fraction, self.count, self.rows_seen)
        try:
            yield
        finally:
            self._bound = outer

    def _check_bound(self) -> None:
        if self._bound is None:
            return
        path, fraction, count, rows = self._bound
        faulty, seen = self.count - count, self.rows_seen - rows
        # good rows are counted with their batch: fewer than MANY are read and not yet counted
        if faulty > MANY and faulty > fraction * (seen + MANY):
            what = f"has more than {MANY:,} rows that cannot be used among its first {seen:,}"
            raise BadFileError(path, f"{what}, such as {example(self.to_table().slice(count, 1))}")

    def reads(self, parts: Iterable[Part]) -> None:
        """Announce the parts of files that are read next."""
        for part in parts:
            self.renames(part.path, part.name)
            self._sizes[part.path] = part.size
            if part.begin == 0:  # a file that is cut into ranges counts once
                self.bytes_seen += part.size

    def renames(self, path: str, name: str) -> None:
        """Quarantined rows of this path show this name."""
        self._names[path] = printable(name)
        self.paths.setdefault(printable(name), printable(path))

    def holds(self, member: Part, shown: str, stored: int) -> None:
        """Announce a member of an archive: the temporary file that it lies in, its name for people, and its bytes there."""
        self._names[member.path] = printable(member.name)
        self._sizes[member.path] = stored
        self.paths.setdefault(printable(member.name), printable(shown))

    def leave_out(self, what: str, example: str, number: int = 1) -> None:
        """Count something that is no document by its nature, such as a request in a web archive or a link in a tar file."""
        before, first = self.left.get(what, (0, printable(example)))
        self.left[what] = (before + number, first)

    def saw(self, rows: int) -> None:
        """Count rows read, good or bad."""
        self.rows_seen += rows

    def keeps_raw(self) -> bool:
        """Whether raw rows are still kept."""
        return self._raw_bytes < RAW_TOTAL and self.count < RAW_ROWS

    def add(self, file: str, position: int, reason: str, detail: str = "", raw: bytes | str = b"") -> None:
        """Quarantine one row (which the caller has counted with `saw`)."""
        self.add_rows(file, [position], [reason], [detail], [raw])

    def add_rows(
        self,
        file: str,
        positions: Sequence[int],
        reasons: Sequence[str],
        details: Sequence[str],
        raws: Sequence[bytes | str],
    ) -> None:
        """Quarantine several rows of one file; `raws` may be empty once `keeps_raw` says no. Raises BadFileError past the bound
        that `bounded` sets."""
        name = printable(self._names.get(file, file))
        # libraries name the file in what they say of it
        cleaned = {d: printable((d.replace(file, name) if file else d)[:500]) for d in set(details)}
        texts = [self._text(raw) for raw in raws] if self.keeps_raw() else []
        for i, (position, reason, detail) in enumerate(zip(positions, reasons, details, strict=True)):
            text = texts[i] if i < len(texts) else ""
            self._pending.append((name, int(position), reason, cleaned[detail], text))
        self.count += len(positions)
        if len(self._pending) >= _PENDING:
            self._flush()
            self._check_bound()

    def _text(self, raw: bytes | str) -> str:
        if isinstance(raw, str):
            raw = raw[:RAW_BYTES].encode("utf-8", "backslashreplace")
        text = raw[:RAW_BYTES].decode("utf-8", "backslashreplace") if self._raw_bytes < RAW_TOTAL else ""
        self._raw_bytes += len(text)
        return text

    def _flush(self) -> None:
        if self._pending:
            columns = list(zip(*self._pending))
            arrays = [pa.repeat(pa.scalar(self.source, pa.string()), len(self._pending))]
            arrays += [pa.array(c, f.type) for c, f in zip(columns, list(SCHEMA)[1:])]
            self._tables.append(pa.Table.from_arrays(arrays, schema=SCHEMA))
            self._pending = []

    def mark(self) -> tuple[int, int, dict[str, tuple[int, str]]]:
        """A point to come back to with `rollback`."""
        return self.count, self.rows_seen, dict(self.left)

    def rollback(self, mark: tuple[int, int, dict[str, tuple[int, str]]]) -> None:
        """Forget what was counted and quarantined since `mark`: a file is now quarantined as a whole."""
        table = self.to_table()
        self._tables, self._pending = [table.slice(0, mark[0]).combine_chunks()], []
        self._raw_bytes -= sum(len(t) for t in table.slice(mark[0]).column("raw").to_pylist())
        self.count, self.rows_seen, self.left = mark

    def add_file(self, file: str, what: str) -> None:
        """Quarantine a whole file, as one row; it is weighed by its bytes."""
        self.saw(1)
        self.bytes_lost += self._sizes.get(file, 0)
        self.add(file, 0, "bad-file", what)

    def by_reason(self) -> dict[str, int]:
        """Quarantined rows by reason."""
        names, counts = np.unique(self.to_table().column("reason").to_pylist(), return_counts=True)
        return {str(n): int(c) for n, c in zip(names, counts)}

    def to_table(self) -> pa.Table:
        """The quarantined rows, in the order of reading."""
        self._flush()
        return pa.concat_tables(self._tables) if self._tables else SCHEMA.empty_table()


def example(bad: pa.Table, paths: Mapping[str, str] | None = None) -> str:
    """The first quarantined row, in words; with the full path of its file, where `paths` (`BadRows.paths`) has it."""
    if bad.num_rows == 0:
        return ""
    row = bad.slice(0, 1).to_pylist()[0]
    file = (paths or {}).get(row["file"], row["file"])
    return f"{file}, position {row['position']}: {row['reason']} {row['detail']}".rstrip()
