"""Parquet: row groups in small batches, with page checksums verified and decoded bytes bounded before they are decoded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from corpusmill.transforms import storage
from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.files import Part
from corpusmill.transforms.sources.format import Format, Rows, balanced
from corpusmill.transforms.sources.limits import AT_ONCE, Budget
from corpusmill.transforms.sources.opened import faults_of, open_file
from corpusmill.transforms.sources.pages import Chunk, Column, Group, groups_of, scan
from corpusmill.transforms.sources.rows import layout, naming, rows_from, together
from corpusmill.transforms.sources.schema import readable
from corpusmill.transforms.sources.spec import SourceSpec

AT_A_TIME = 128 << 20
"""Batches are made so small that no combination of values in the pages decodes to much more than this."""


def _open(path: str, f: BinaryIO) -> pq.ParquetFile:
    with faults_of(path, "is no readable Parquet file, or is truncated"):
        source: Any = storage.local_path(path) if storage.is_local(path) else f
        return pq.ParquetFile(source, page_checksum_verification=True, pre_buffer=False, memory_map=False)


def _groups(path: str) -> tuple[Group, ...]:
    """The row groups; none if the content has no readable footer."""
    try:
        with open_file(path) as f, faults_of(path, "has a damaged footer"):
            return groups_of(f)
    except BadFileError:
        return ()


def _batch_rows(chunks: list[tuple[str, Column, Chunk]], rows: int, budget: Budget) -> int:
    """Rows to read at a time so that a batch stays near AT_A_TIME whatever its values."""
    budget.check(sum(c.decoded for _, _, c in chunks))
    for name, column, c in chunks:
        budget.check_at_once(c.page, f"a page of column '{name}'")
        worst = max(c.longest if c.repeated else 0, c.mean)
        if c.values > column.num_values + 8:
            raise BadFileError(budget.path, f"column '{name}' has more values than the footer says")
        flat = "." not in name
        if not flat and c.repeated * c.longest > AT_ONCE:
            # one row of a list may hold all values, so a batch of rows bounds nothing
            budget.check(c.repeated * c.longest)
        rows = min(rows, max(1, int(AT_A_TIME / max(1.0, worst))))
    return rows


def _check_rows(leaf: Any, column: Column, rows: int) -> None:
    """Arrow reads as many rows as the footer says of the row group, and leaves the rest of the pages: without lists, a column has
    one value for each row, nulls included. leaf: the column's pq.ColumnSchema."""
    if leaf.max_repetition_level == 0 and column.num_values != rows:
        raise ValueError(f"column '{leaf.path}' has {column.num_values} values, and the row group {rows} rows")


def _hold(f: BinaryIO, columns: list[Column]) -> None:
    """Fetch the bytes of these columns at once where each read is a request to a store."""
    hold = getattr(f, "hold", None)
    if hold is None or not columns:
        return
    begins = [min(c.data_page_offset, c.dictionary_page_offset or c.data_page_offset) for c in columns]
    ends = [b + c.total_compressed_size for b, c in zip(begins, columns, strict=True)]
    if 0 <= min(begins) <= max(ends) <= min(begins) + AT_A_TIME:
        hold(min(begins), max(ends))


def _counted(batches: Iterator[pa.RecordBatch], budget: Budget) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        # rows of nothing are counted too: a few bytes can claim billions of nulls
        budget.spend(batch.nbytes + batch.num_rows)
        yield batch


class Parquet(Format):
    """Parquet files, cut by row groups."""

    name = "parquet"
    extensions = (".parquet", ".pq")
    magic = (b"PAR1",)
    version = 2

    def ranges(self, path: str, size: int, target: int) -> list[tuple[int, int]]:
        """Ranges of row groups."""
        # a file whose footer cannot be read stays whole: the reader names the fault, or quarantines it
        return balanced([sum(c.total_compressed_size for c in g.columns) for g in _groups(path)], target)

    def rows(self, part: Part) -> int | None:
        """Rows of the part's row groups, as the footer says."""
        rows = [g.rows for g in _groups(part.path)]
        return sum(rows if part.whole else rows[part.begin : part.end])

    def schema(self, part: Part, spec: SourceSpec) -> pa.Schema:
        """The file's Arrow schema."""
        with open_file(part.path) as f, _open(part.path, f) as file, faults_of(part.path, "has a damaged schema"):
            return readable(file.schema_arrow)

    def read(self, part: Part, spec: SourceSpec, budget: Budget, bad: BadRows, rows: int) -> Rows:
        """Batches of at most `rows` rows of the part's row groups, and the place of each in the file."""
        with open_file(part.path) as f, _open(part.path, f) as file:
            with faults_of(part.path, "has a damaged footer"):
                groups, names = groups_of(f), readable(file.schema_arrow).names
                schema = file.metadata.schema
                paths = [schema.column(j).path for j in range(file.metadata.num_columns)]
            ids = naming(spec, file.schema_arrow)
            taken = [name for _, name in layout(spec, names, part.path, lenient=False, ids=ids)]
            wanted = list(dict.fromkeys([*taken, *ids]))
            chosen = set(wanted)
            leaves = [j for j, path in enumerate(paths) if path.split(".")[0] in chosen or path in chosen]
            numbers = range(len(groups)) if part.whole else range(part.begin, part.end)
            first = sum(group.rows for group in groups[: numbers.start])
            for i in numbers:
                with faults_of(part.path, f"is corrupt in row group {i}"):
                    group = groups[i]
                    if len(group.columns) != len(paths):
                        raise ValueError(f"it has {len(group.columns)} columns, and the schema {len(paths)}")
                    for j in leaves:
                        _check_rows(schema.column(j), group.columns[j], group.rows)
                    columns = [group.columns[j] for j in leaves]
                    _hold(f, columns)
                    chunks = [(paths[j], c, scan(f, c)) for j, c in zip(leaves, columns, strict=True)]
                    at_a_time = _batch_rows(chunks, rows, budget)
                    batches = file.iter_batches(at_a_time, row_groups=[i], columns=wanted, use_threads=False)
                    seen = 0
                    for batch in together(_counted(batches, budget), AT_A_TIME // 8, rows):
                        yield batch, rows_from(first + seen)
                        seen += batch.num_rows
                    if seen != group.rows:
                        raise BadFileError(part.path, f"row group {i} has {seen} rows and the footer says {group.rows}")
                    first += seen
