"""What a view asks of a table: rows that match, how many there are, and a page of them in any order.

Values that people type are parameters of the statement, and names of columns are compared with the table's: no text becomes SQL.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from corpusmill.pipelines.browse.tables import FILE, ROW, Table, identifier
from corpusmill.transforms.errors import DatasetError

SHOWN = 400
"""Characters of a text in a list."""
SEARCHED = ("text", "id", "id_a", "raw")
"""The columns that a search looks into: the first one that a table has."""
OPERATORS = {"=": "=", "≠": "<>", "<": "<", "≤": "<=", ">": ">", "≥": ">="}


@dataclass(frozen=True)
class View:
    """What is asked for. search: text to look for, "" for none; mode: `text`, `any case` or `regex`; filters: (column,
    operator, value); sort: a column or "".

    Raises:
        DatasetError: a column or an operator is unknown.
    """

    table: Table
    search: str = ""
    mode: str = "text"
    filters: tuple[tuple[str, str, str], ...] = ()
    sort: str = ""
    descending: bool = False
    parameters: list[Any] = field(default_factory=list)
    where: str = ""

    def __post_init__(self) -> None:
        parts: list[str] = []
        if self.search:
            names: list[str] = [n for n in SEARCHED if n in self.table.columns] or list(self.table.columns)
            column = identifier(names[0])
            parts.append(_search(column, self.mode))
            self.parameters.append(self.search)
        for name, operator, value in self.filters:
            parts.append(_filter(self._column(name), self.table.columns[name], operator))
            self.parameters.extend([] if operator in ("null", "not null") else [value])
        if self.sort:
            self._column(self.sort)
        object.__setattr__(self, "where", f" WHERE {' AND '.join(parts)}" if parts else "")

    def _column(self, name: str) -> str:
        if name not in self.table.columns:
            raise DatasetError(f"no column {name}; there are: {', '.join(self.table.columns)}")
        return identifier(name)

    def order(self) -> str:
        """ORDER BY, or nothing: then rows come as they stand in the files."""
        if not self.sort:
            return ""
        tie = f", {FILE}, {ROW}" if self.table.placed else ""
        return f" ORDER BY {identifier(self.sort)} {'DESC' if self.descending else 'ASC'} NULLS LAST{tie}"


def _search(column: str, mode: str) -> str:
    if mode == "regex":
        return f"regexp_matches({column}, ?)"
    if mode == "any case":
        return f"contains(lower({column}), lower(?))"
    if mode == "text":
        return f"contains({column}, ?)"
    raise DatasetError(f"no way to search is called {mode}; there are: text, any case, regex")


def _filter(column: str, kind: str, operator: str) -> str:
    if operator in OPERATORS:
        return f"{column} {OPERATORS[operator]} try_cast(? AS {kind})"  # what does not fit the type matches nothing
    if operator == "contains":
        return f"contains(CAST({column} AS VARCHAR), ?)"
    if operator == "matches":
        return f"regexp_matches(CAST({column} AS VARCHAR), ?)"
    if operator in ("null", "not null"):
        return f"{column} IS {operator.upper()}"
    known = ", ".join([*OPERATORS, "contains", "matches", "null", "not null"])
    raise DatasetError(f"no operator is called {operator}; there are: {known}")


def page(cursor: Any, view: View, offset: int, count: int) -> list[dict[str, Any]]:
    """Rows `offset` to `offset + count`, with long texts cut. `_place` is [file, row], for `row_at`."""
    table = view.table
    if not view.sort or not table.placed:
        query = f"SELECT {_shown(table)} FROM {table.sql}{view.where}{view.order()} LIMIT {count} OFFSET {offset}"
        return _rows(cursor, query, view.parameters)
    # places first: only the columns that decide are read of all rows, and texts of one page
    keys = f"SELECT {FILE}, {ROW} FROM {table.sql}{view.where}{view.order()} LIMIT {count} OFFSET {offset}"
    places = cursor.execute(keys, view.parameters).fetchall()
    found = {tuple(r["_place"]): r for r in at(cursor, table, places)}
    return [found[place] for place in places]


def at(cursor: Any, table: Table, places: list[tuple[str, int]], whole: bool = False) -> list[dict[str, Any]]:
    """Rows by their places. whole: texts are not cut."""
    if not places:
        return []
    files: dict[str, list[int]] = {}
    for file, row in places:
        files.setdefault(file, []).append(int(row))
    mine = " OR ".join(f"({FILE} = ? AND {ROW} IN ({', '.join(map(str, rows))}))" for rows in files.values())
    return _rows(cursor, f"SELECT {_shown(table, whole)} FROM {table.sql} WHERE {mine}", list(files))


def count(cursor: Any, view: View) -> dict[str, int | None]:
    """Rows that match, and bytes of their text."""
    table = view.table
    size = "sum(strlen(text))" if "text" in table.columns else "sum(bytes)" if "bytes" in table.columns else "NULL"
    rows, text = cursor.execute(f"SELECT count(*), {size} FROM {table.sql}{view.where}", view.parameters).fetchone()
    return {"rows": rows, "bytes": None if text is None else int(text)}


def ids(cursor: Any, view: View) -> Any:
    """A cursor over the distinct ids of all rows that match, in order of the files."""
    return cursor.execute(f"SELECT id FROM {view.table.sql}{view.where} GROUP BY id ORDER BY id", view.parameters)


def values(cursor: Any, table: Table, column: str, most: int = 30) -> list[dict[str, Any]]:
    """The most frequent values of a column, for a filter to choose from."""
    if column not in table.columns:
        raise DatasetError(f"no column {column}")
    name = identifier(column)
    query = f"SELECT CAST({name} AS VARCHAR) AS value, count(*) AS rows FROM {table.sql} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {most}"
    return _rows(cursor, query, [])


def _shown(table: Table, whole: bool = False) -> str:
    parts = []
    for name, kind in table.columns.items():
        column = identifier(name)
        if name == "text" and not whole:
            parts.append(f"left(text, {SHOWN}) AS text, strlen(text) AS {identifier('bytes of text')}")
        elif kind.endswith("]"):
            parts.append(f"len({column}) AS {column}")
        elif "STRUCT" in kind or "MAP" in kind:
            parts.append(f"left(CAST({column} AS VARCHAR), {SHOWN}) AS {column}")
        elif kind == "VARCHAR" and not whole:
            parts.append(f"left({column}, {4 * SHOWN}) AS {column}")
        else:
            parts.append(column)
    return ", ".join(parts + ([FILE, ROW] if table.placed else []))


def _rows(cursor: Any, query: str, parameters: list[Any]) -> list[dict[str, Any]]:
    done = cursor.execute(query, parameters)
    names = [d[0] for d in done.description]
    found = []
    for row in done.fetchall():
        cells = dict(zip(names, row, strict=True))
        if FILE in cells:
            cells["_place"] = (cells.pop(FILE), cells.pop(ROW))
        for raw in ("id", "id_a", "id_b"):  # shown ids are cleaned; these find the document again
            if raw in cells:
                cells[f"_{raw}"] = cells[raw]
        found.append(cells)
    return found
