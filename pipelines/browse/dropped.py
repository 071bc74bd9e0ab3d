"""Dropped documents whose texts match, read from the sources: the table of dropped documents has no texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pyarrow as pa

from corpusmill.pipelines.browse.queries import View
from corpusmill.pipelines.browse.tables import Tables
from corpusmill.pipelines.operations.examples import Text
from corpusmill.pipelines.operations.manifest_steps import masked
from corpusmill.pipelines.operations.search_dropped import matcher, search

MOST = 200
"""Rows that are found at most; a filter or a longer pattern makes them fewer."""
TOGETHER = 64
BEFORE, SHOWN = 120, 400
"""Characters before a match that are shown, and in all."""


def matching(cursor: Any, tables: Tables, view: View, stopped: Callable[[], bool]) -> dict[str, Any]:
    """rows: of `dropped`, with the part of the text around the first match; more: whether the search ended at MOST of them.

    view: its text and filters count, its order does not: rows come as the sources have them. Where the recipe redacts, texts are
    redacted and must match as they are then.
    """
    reader, manifest = tables.reader, tables.manifest
    without = tuple(tables.private)
    found = search(reader, manifest, view.search, view.mode, without=without, stopped=stopped)
    rows = list(islice(_shown(cursor, tables, view, found), MOST + 1))
    return {"rows": rows[:MOST], "more": len(rows) > MOST}


def _shown(
    cursor: Any, tables: Tables, view: View, found: Iterator[tuple[dict[str, Any], Text]]
) -> Iterator[dict[str, Any]]:
    filters = View(view.table, filters=view.filters)
    matches, place = matcher(view.search, view.mode)
    while part := list(islice(found, TOGETHER)):
        texts = masked(tables.reader, tables.manifest, {row["id"]: text for row, text in part})
        passed = _passing(cursor, filters, [row["id"] for row, _ in part])
        for row, _ in part:
            text = texts[row["id"]].text if row["id"] in texts else ""
            if (row["source"], row["id"]) in passed and matches(pa.array([text])).to_pylist() == [True]:
                at = len(text.encode()[: place(pa.array([text]))[0].as_py()].decode(errors="ignore"))
                begin = max(0, at - BEFORE)
                excerpt = ("… " if begin else "") + text[begin : begin + SHOWN]
                yield {**row, "_id": row["id"], "text": excerpt}


def _passing(cursor: Any, filters: View, ids: list[str]) -> set[tuple[str, str]]:
    """(source, id) of those rows that pass the filters of the view."""
    where = f"{filters.where} AND " if filters.where else " WHERE "
    query = f"SELECT source, id FROM {filters.table.sql}{where}list_contains(?, id)"
    return set(cursor.execute(query, [*filters.parameters, ids]).fetchall())
