"""Rows that cannot be documents: kept apart with file, position and reason, never dropped in silence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa

from corpusmill.transforms.sources.files import Part

RAW_BYTES = 4096
RAW_TOTAL = 64 << 20

REASONS = ("null-text", "no-id", "not-utf8", "not-json", "wrong-type", "too-long", "bad-file")

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
    """Collects the quarantined rows of one split. `rows_seen` counts good and bad rows, so that rows read = rows emitted +
    `count`. What is kept of raw rows is bounded by 64 MiB in all; past that only place and reason are kept.

    Readers say a file's path; of a file that was announced by `reads`, its name is kept instead, and `paths` tells where it lay.

    >>> bad = BadRows("web")
    >>> bad.add("a.jsonl", 3, "not-json", "no closing brace", b'{"text": 1')
    >>> bad.count, bad.to_table().column("reason").to_pylist()
    (1, ['not-json'])
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.rows_seen = 0
        self.paths: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._rows: list[tuple[str, int, str, str, str]] = []
        self._raw_bytes = 0

    @property
    def count(self) -> int:
        """Quarantined rows so far."""
        return len(self._rows)

    def reads(self, parts: Iterable[Part]) -> None:
        """The parts of files that are read next."""
        for part in parts:
            self._names[part.path] = printable(part.name)
            self.paths.setdefault(printable(part.name), printable(part.path))

    def saw(self, rows: int) -> None:
        """Count rows read, good or bad."""
        self.rows_seen += rows

    def add(self, file: str, position: int, reason: str, detail: str = "", raw: bytes | str = b"") -> None:
        """Quarantine one row (which the caller has counted with `saw`)."""
        if isinstance(raw, str):
            raw = raw[:RAW_BYTES].encode("utf-8", "backslashreplace")
        text = raw[:RAW_BYTES].decode("utf-8", "backslashreplace") if self._raw_bytes < RAW_TOTAL else ""
        self._raw_bytes += len(text)
        name = self._names.get(file, file)
        # libraries name the file in what they say of it
        detail = detail.replace(file, name) if file else detail
        self._rows.append((printable(name), position, reason, printable(detail[:500]), text))

    def mark(self) -> tuple[int, int]:
        """A point to come back to with `rollback`."""
        return len(self._rows), self.rows_seen

    def rollback(self, mark: tuple[int, int]) -> None:
        """Forget what was counted and quarantined since `mark`: a file is now quarantined as a whole."""
        self._raw_bytes -= sum(len(r[4]) for r in self._rows[mark[0] :])
        del self._rows[mark[0] :]
        self.rows_seen = mark[1]

    def add_file(self, file: str, what: str) -> None:
        """Quarantine a whole file, as one row."""
        self.saw(1)
        self.add(file, 0, "bad-file", what)

    def by_reason(self) -> dict[str, int]:
        """Quarantined rows by reason."""
        names, counts = np.unique([r[2] for r in self._rows], return_counts=True)
        return {str(n): int(c) for n, c in zip(names, counts)}

    def to_table(self) -> pa.Table:
        """The quarantined rows, in the order of reading."""
        columns = list(zip(*self._rows)) or [()] * 5
        arrays = [pa.array([self.source] * len(self._rows), pa.string())]
        arrays += [pa.array(c, f.type) for c, f in zip(columns, list(SCHEMA)[1:])]
        return pa.Table.from_arrays(arrays, schema=SCHEMA)


def example(bad: pa.Table, paths: Mapping[str, str] | None = None) -> str:
    """The first quarantined row, in words; with the full path of its file, where `paths` (`BadRows.paths`) has it."""
    if bad.num_rows == 0:
        return ""
    row = bad.slice(0, 1).to_pylist()[0]
    file = (paths or {}).get(row["file"], row["file"])
    return f"{file}, position {row['position']}: {row['reason']} {row['detail']}".rstrip()
