"""A snapshot's files as tables of DuckDB: documents (or rows), dropped, pairs, quarantine, and scores of each step.

Nothing is loaded: DuckDB reads what a query needs from the Parquet files, in bounded memory. Documents of sources that the
recipe marks `private` are in no table.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from corpusmill.pipelines.dataset.packed import is_packed
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.transforms import storage
from corpusmill.transforms.errors import DatasetError, MissingDependencyError

MEMORY = "192MB"
"""Of DuckDB; what needs more is kept in files meanwhile."""
FILE, ROW = "_file", "file_row_number"
"""Columns that say where a row of a Parquet file stands."""


@dataclass(frozen=True)
class Table:
    """sql: what stands behind FROM; columns: name -> DuckDB's type; rows: as the manifest counts them; placed: FILE and ROW
    are known."""

    name: str
    sql: str
    columns: dict[str, str]
    rows: int
    placed: bool
    hidden: bool = field(default=False)
    """Some rows are of private sources, so that `rows` counts too many."""


class Tables:
    """The tables of one snapshot. duck: a connection of `connect`, which several snapshots share with its memory.

    Raises:
        DatasetError: there is no such snapshot. MissingDependencyError: DuckDB is not installed.
    """

    def __init__(self, reader: Dataset, number: int | None = None, duck: Any = None) -> None:
        self.reader, self.manifest = reader, reader.manifest(number)
        self.private = sorted(s["name"] for s in self.manifest["recipe"]["sources"] if s.get("private"))
        self.packed = is_packed(self.manifest["schema"])
        self.duck = connect() if duck is None else duck
        self.tables: dict[str, Table] = {}
        self.arrow: dict[str, Any] = {}
        self.map: Any = None  # of `corpusmill.pipelines.browse.topics`, made when it is asked for
        kinds = {"rows" if self.packed else "documents": self.manifest["files"], **self.manifest["tables"]}
        for kind, files in kinds.items():
            made = self._table(kind, [f for f in files if f["rows"]])
            if made is not None:
                self.tables[kind] = made

    def _table(self, kind: str, files: list[Any]) -> Table | None:
        if not files:
            return None
        paths = [os.path.join(self.reader.path, f["path"]) for f in files]
        placed = all(p.endswith(".parquet") for p in paths)
        sql = parquet(paths) if placed else self._arrow(kind, paths)
        described = self.duck.execute(f"DESCRIBE SELECT * FROM {sql}").fetchall()
        columns = {row[0]: row[1] for row in described if row[0] not in (FILE, ROW)}
        if self.private:
            if "source" not in columns:  # pairs, scores and rows do not say whose they are
                return None
            named = ", ".join(literal(p) for p in self.private)
            sql = f"(SELECT * FROM {sql} WHERE source NOT IN ({named}))"
        return Table(kind, sql, columns, sum(f["rows"] for f in files), placed, bool(self.private))

    def _arrow(self, kind: str, paths: list[str]) -> str:
        import pyarrow.dataset as arrow

        if not storage.is_local(self.reader.path):
            raise DatasetError(
                f"{self.reader.path}: Arrow files are browsed on a local disk; copy the dataset, or pack to Parquet"
            )
        name = f"arrow {self.reader.path} {self.manifest['number']} {kind}"
        self.arrow[name] = arrow.dataset(paths, format="ipc")
        self.duck.register(name, self.arrow[name])
        return identifier(name)

    def cursor(self) -> Any:
        """A cursor for one question, which another thread may interrupt."""
        cursor = self.duck.cursor()
        for name, files in self.arrow.items():  # a cursor does not see what others registered
            cursor.register(name, files)
        return cursor

    def table(self, name: str) -> Table:
        """A table by name.

        Raises:
            DatasetError: the snapshot has no such table.
        """
        if name not in self.tables:
            raise DatasetError(f"{self.reader.path}: has no table {name}; it has: {', '.join(self.tables)}")
        return self.tables[name]

    def scores(self) -> dict[str, dict[str, Any]]:
        """Steps whose scores were kept, with the rules that compare them: name -> {rule: limit or None}."""
        found = {}
        for step in self.manifest["recipe"]["steps"]:
            table = self.tables.get(f"scores/{step['name']}")
            if table is not None:
                rules = {
                    r: v for r, v in step["fields"].items() if r[:4] in ("min_", "max_") and r[4:] in table.columns
                }
                if rules:
                    found[step["name"]] = rules
        return found


def connect() -> Any:
    """A fresh connection that keeps to its memory, and loads nothing from elsewhere."""
    try:
        import duckdb
    except ImportError:
        raise MissingDependencyError("browse needs DuckDB: pip install 'corpusmill[browse]'") from None
    from corpusmill.pipelines.browse.remote import StoreFiles

    options: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY,
        "threads": min(4, os.cpu_count() or 1),
        "temp_directory": os.path.join(tempfile.gettempdir(), f"corpusmill-browse-{os.getpid()}"),
        "autoinstall_known_extensions": False,
        "preserve_insertion_order": True,
    }
    duck = duckdb.connect(config=options)
    duck.register_filesystem(StoreFiles())
    return duck


def parquet(paths: Iterable[str]) -> str:
    """What stands behind FROM to read Parquet files, with FILE and ROW."""
    from corpusmill.pipelines.browse.remote import name

    named = ", ".join(literal(p if storage.is_local(p) else name(p)) for p in paths)
    return f"read_parquet([{named}], filename='{FILE}', file_row_number=true, hive_partitioning=false)"


def literal(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """The name of a column as SQL."""
    return '"' + name.replace('"', '""') + '"'
