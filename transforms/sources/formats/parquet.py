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
from corpusmill.transforms.sources.pages import Chunk, scan
from corpusmill.transforms.sources.rows import layout, rows_from, together
from corpusmill.transforms.sources.spec import SourceSpec

AT_A_TIME = 128 << 20
"""Batches are made so small that no combination of values in the pages decodes to much more than this."""


def _open(path: str, f: BinaryIO) -> pq.ParquetFile:
    with faults_of(path, "is no readable Parquet file, or is truncated"):
        source: Any = storage.local_path(path) if storage.is_local(path) else f
        return pq.ParquetFile(source, page_checksum_verification=True, pre_buffer=False, memory_map=False)


def _groups(path: str) -> list[Any]:
    """The metadata of each row group; empty if the content has no readable footer."""
    try:
        with open_file(path) as f, _open(path, f) as file:
            return [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    except BadFileError:
        return []


def _batch_rows(chunks: list[tuple[Any, Chunk]], rows: int, budget: Budget) -> int:
    """Rows to read at a time so that a batch stays near AT_A_TIME whatever its values."""
    budget.check(sum(c.decoded for _, c in chunks))
    for column, c in chunks:
        budget.check_at_once(c.page, f"a page of column '{column.path_in_schema}'")
        worst = max(c.longest if c.repeated else 0, c.mean)
        if c.values > column.num_values + 8:
            raise BadFileError(budget.path, f"column '{column.path_in_schema}' has more values than the footer says")
        flat = "." not in column.path_in_schema
        if not flat and c.repeated * c.longest > AT_ONCE:
            # one row of a list may hold all values, so a batch of rows bounds nothing
            budget.check(c.repeated * c.longest)
        rows = min(rows, max(1, int(AT_A_TIME / max(1.0, worst))))
    return rows


def _hold(f: BinaryIO, columns: list[Any]) -> None:
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
        groups = _groups(path)
        return balanced([sum(g.column(j).total_compressed_size for j in range(g.num_columns)) for g in groups], target)

    def rows(self, part: Part) -> int | None:
        """Rows of the part's row groups, as the footer says."""
        rows = [g.num_rows for g in _groups(part.path)]
        return sum(rows if part.whole else rows[part.begin : part.end])

    def schema(self, part: Part, spec: SourceSpec) -> pa.Schema:
        """The file's Arrow schema."""
        with open_file(part.path) as f, _open(part.path, f) as file:
            return file.schema_arrow

    def read(self, part: Part, spec: SourceSpec, budget: Budget, bad: BadRows, rows: int) -> Rows:
        """Batches of at most `rows` rows of the part's row groups, and the place of each in the file."""
        with open_file(part.path) as f, _open(part.path, f) as file:
            meta = file.metadata
            groups = range(meta.num_row_groups) if part.whole else range(part.begin, part.end)
            names = file.schema_arrow.names
            wanted = [name for _, name in layout(spec, names, part.path, lenient=False)]
            top = [meta.schema.column(j).path.split(".")[0] for j in range(meta.num_columns)]
            leaves = [j for j in range(meta.num_columns) if top[j] in wanted or meta.schema.column(j).path in wanted]
            first = sum(meta.row_group(i).num_rows for i in range(groups.start))
            for i in groups:
                with faults_of(part.path, f"is corrupt in row group {i}"):
                    group = meta.row_group(i)
                    columns = [group.column(j) for j in leaves]
                    _hold(f, columns)
                    chunks = [(c, scan(f, c)) for c in columns]
                    at_a_time = _batch_rows(chunks, rows, budget)
                    batches = file.iter_batches(at_a_time, row_groups=[i], columns=wanted, use_threads=False)
                    seen = 0
                    for batch in together(_counted(batches, budget), AT_A_TIME // 8, rows):
                        yield batch, rows_from(first + seen)
                        seen += batch.num_rows
                    if seen != group.num_rows:
                        raise BadFileError(
                            part.path, f"row group {i} has {seen} rows and the footer says {group.num_rows}"
                        )
                    first += seen
