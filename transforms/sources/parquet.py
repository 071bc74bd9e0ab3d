"""Parquet: row groups in small batches, with page checksums verified and decoded bytes bounded before they are decoded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from corpusmill.transforms import storage
from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.sources.files import Part
from corpusmill.transforms.sources.limits import AT_ONCE, Budget
from corpusmill.transforms.sources.pages import Chunk, scan
from corpusmill.transforms.sources.rows import Place, layout, rows_from, together
from corpusmill.transforms.sources.spec import SourceSpec

AT_A_TIME = 128 << 20
"""Batches are made so small that no combination of values in the pages decodes to much more than this."""


def _open(path: str, f: BinaryIO) -> pq.ParquetFile:
    try:
        source: Any = storage.local_path(path) if storage.is_local(path) else f
        return pq.ParquetFile(source, page_checksum_verification=True, pre_buffer=False, memory_map=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise BadFileError(path, f"cannot be read ({error.strerror})") from error
        raise BadFileError(path, f"is no readable Parquet file, or is truncated ({_first_line(error)})") from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def group_sizes(path: str) -> list[int]:
    """Compressed bytes of each row group; empty if the footer cannot be read."""
    try:
        with storage.open_input(path) as f, _open(path, f) as file:
            meta = file.metadata
            groups = [meta.row_group(i) for i in range(meta.num_row_groups)]
            return [sum(g.column(j).total_compressed_size for j in range(g.num_columns)) for g in groups]
    except (BadFileError, OSError):
        return []


def group_rows(path: str) -> list[int]:
    """Rows of each row group, as the footer says; empty if it cannot be read."""
    try:
        with storage.open_input(path) as f, _open(path, f) as file:
            return [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
    except (BadFileError, OSError):
        return []


def schema_of(path: str) -> pa.Schema:
    """The file's Arrow schema."""
    with _opened(path) as f, _open(path, f) as file:
        return file.schema_arrow


def _opened(path: str) -> BinaryIO:
    try:
        return storage.open_input(path)
    except OSError as error:
        raise BadFileError(path, f"cannot be read ({error.strerror or error})") from error


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


def read(part: Part, spec: SourceSpec, budget: Budget, rows: int) -> Iterator[tuple[pa.RecordBatch, Place]]:
    """Batches of at most `rows` rows of the part's row groups, and the place of each in the file."""
    with _opened(part.path) as f, _open(part.path, f) as file:
        meta = file.metadata
        groups = range(meta.num_row_groups) if part.whole else range(part.begin, part.end)
        names = file.schema_arrow.names
        wanted = [name for _, name in layout(spec, names, part.path, lenient=False)]
        top = [meta.schema.column(j).path.split(".")[0] for j in range(meta.num_columns)]
        leaves = [j for j in range(meta.num_columns) if top[j] in wanted or meta.schema.column(j).path in wanted]
        first = sum(meta.row_group(i).num_rows for i in range(groups.start))
        for i in groups:
            try:
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
                    raise BadFileError(part.path, f"row group {i} has {seen} rows and the footer says {group.num_rows}")
                first += seen
            except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
                raise BadFileError(part.path, f"is corrupt in row group {i} ({_first_line(error)})") from error
