"""`corpusmill.open`: a snapshot of a dataset, read as Arrow, Polars, pandas, Hugging Face or torch data."""

from __future__ import annotations

import html
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.dataset import snapshot as snapshots
from corpusmill.pipelines.dataset.packed import is_packed
from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.manifest import Funnel
from corpusmill.transforms.shards import read_shard, shard_schema

if TYPE_CHECKING:
    import datasets
    import pandas
    import polars

    from corpusmill.packed_rows import PackedRows


def open(path: str | os.PathLike[str], number: int | None = None) -> Dataset:
    """The newest snapshot of the dataset in a folder or object store, or the one with this number.

    Raises:
        DatasetError: there is no dataset at `path`, or it has no such snapshot.
    """
    return Dataset(path, number)


class Dataset:
    """One snapshot of a dataset: an immutable list of shards, and what was left out and why."""

    def __init__(self, path: str | os.PathLike[str], number: int | None = None) -> None:
        self._directory = snapshots.Dataset(path)
        self.path = self._directory.path
        self.manifest = self._directory.manifest(number)
        self.number: int = self.manifest["number"]

    @property
    def snapshots(self) -> list[int]:
        """Numbers of all snapshots of this dataset, ascending."""
        return list(self._directory.numbers)

    def snapshot(self, number: int) -> Dataset:
        """Another snapshot of the same dataset."""
        return Dataset(self.path, number)

    def __len__(self) -> int:
        """Documents, or packed rows."""
        return int(self.manifest["documents"])

    @property
    def packed(self) -> bool:
        """Whether the rows are packed tokens and no documents."""
        return is_packed(self.manifest["schema"])

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return [column["name"] for column in self.manifest["schema"]]

    @property
    def funnel(self) -> Funnel:
        """Rows read, and for each step rows in, out, derived and dropped by reason."""
        return self.manifest["funnel"]

    def files(self) -> list[str]:
        """Full paths of the shards."""
        return self._directory.files(self.number)

    def batches(self, columns: Sequence[str] | None = None, batch_rows: int = 4_096) -> Iterator[pa.RecordBatch]:
        """The rows, one shard after the other, in batches of at most `batch_rows` rows.

        Raises:
            BadFileError: a shard is missing or damaged.
        """
        names = self._known(columns)
        for file in self.files():
            yield from read_shard(file, names, batch_rows)

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows in memory."""
        return self._table(self.files(), columns)

    def to_polars(self, columns: Sequence[str] | None = None) -> polars.DataFrame:
        """All rows as a Polars frame. Polars reads larger ones lazily: `polars.scan_parquet(dataset.files())`."""
        import polars

        return polars.DataFrame(self.to_arrow(columns))

    def to_pandas(self, columns: Sequence[str] | None = None) -> pandas.DataFrame:
        """All rows as a pandas frame."""
        return self.to_arrow(columns).to_pandas()

    def to_datasets(self) -> datasets.Dataset:
        """The rows as a Hugging Face dataset, mapped from its cache."""
        import datasets

        form = "parquet" if self.files()[0].endswith(".parquet") else "arrow"
        return datasets.load_dataset(form, data_files=self.files(), split="train")

    def torch(self, columns: Sequence[str] = ("input_ids", "segment_ids", "position_ids")) -> PackedRows:
        """Packed rows for a torch `DataLoader`, read from memory-mapped shards.

        Args:
            columns: which columns a row has; each becomes an int64 tensor [length].

        Raises:
            DatasetError: the rows are documents, or lie in an object store.
            BadFileError: the shards are Parquet; pack with `output: {format: arrow}`.
        """
        from corpusmill.packed_rows import PackedRows

        if not self.packed:
            raise DatasetError(f"{self.path} holds documents; add the step `pack` to its recipe to get rows of tokens")
        return PackedRows(self.path, self.number, tuple(self._known(columns) or ()))

    def dropped(self, step: str | None = None, reason: str | None = None) -> pa.Table:
        """Documents that steps dropped: id, source, step, reason, value, survivor, bytes, parent; never their text.

        Args:
            step: only those of this step, by its name in the funnel.
            reason: only those dropped for this reason.
        """
        table = self.table("dropped")
        for column, wanted in (("step", step), ("reason", reason)):
            if wanted is not None and table.num_rows:
                table = table.filter(pc.equal(table[column], wanted))
        return table

    def pairs(self) -> pa.Table:
        """Pairs of near-duplicates that `minhash` confirmed, with their Jaccard similarity."""
        return self.table("pairs")

    def table(self, name: str) -> pa.Table:
        """A side table: `dropped`, `quarantine`, `pairs`, `mixture`, `scores.STEP`; without rows where the run made none."""
        files = self.manifest["tables"].get(name, [])
        return self._table([os.path.join(self.path, file["path"]) for file in files], None)

    def why(self, document: str) -> dict[str, Any]:
        """What happened to one document: where it is, or which step dropped it, with the value and the survivor."""
        return self._directory.why(document, self.number)

    def _known(self, columns: Sequence[str] | None) -> list[str] | None:
        missing = [name for name in columns or () if name not in self.columns]
        if missing:
            raise DatasetError(f"{self.path} has no column `{missing[0]}`; it has: {', '.join(self.columns)}")
        return None if columns is None else list(columns)

    def _table(self, files: list[str], columns: Sequence[str] | None) -> pa.Table:
        names = self._known(columns)
        batches = [batch for file in files for batch in read_shard(file, names)]
        if batches or not files:
            tables = [pa.Table.from_batches([b]) for b in batches]
            return pa.concat_tables(tables, promote_options="default") if batches else pa.table({})
        schema = shard_schema(files[0])
        return (schema if names is None else pa.schema([schema.field(name) for name in names])).empty_table()

    def __repr__(self) -> str:
        rows = "packed rows" if self.packed else "documents"
        return f"Dataset({self.path!r}, snapshot {self.number} of {len(self.snapshots)}: {len(self):,} {rows})"

    def _repr_html_(self) -> str:
        from corpusmill.pipelines.report.funnel import render

        return f"<p><code>{html.escape(repr(self))}</code></p><pre>{html.escape(render(self.funnel))}</pre>"
