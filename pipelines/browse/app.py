"""The routes of the browser's server. Every answer is JSON of plain data, a file of ours, or a download."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from corpusmill.pipelines.browse import compare, document, dropped, export, live, queries, thresholds, topics
from corpusmill.pipelines.browse.queries import View
from corpusmill.pipelines.browse.safe import safe
from corpusmill.pipelines.browse.tables import Tables, connect
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.transforms.errors import CorpusmillError, DatasetError

PAGE = 50
"""Rows of one page."""
OPEN = 8
"""Snapshots that stay open."""
STATIC = {
    "": "browse.html",
    "icon.svg": "icon.svg",
    "browse.js": "browse.js",
    "graph.js": "graph.js",
    "topics.js": "topics.js",
    "page.css": "page.css",
    "browse.css": "browse.css",
}
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class Library:
    """The datasets that are browsed, and their open snapshots."""

    def __init__(self, paths: list[str]) -> None:
        self.readers = [Dataset(p) for p in paths]
        self._duck, self._lock = connect(), threading.Lock()
        self._open: dict[tuple[int, int], Tables] = {}

    def tables(self, request: Request) -> Tables:
        """The snapshot that a request names by `d` and `n`."""
        return self.open(number(request, "d", 0), number(request, "n", 0))

    def open(self, dataset: int, snapshot: int) -> Tables:
        """A snapshot of a dataset; 0: the newest."""
        if not 0 <= dataset < len(self.readers):
            raise DatasetError(f"there is no dataset {dataset}")
        reader = Dataset(self.readers[dataset].path)
        key = dataset, snapshot or reader.numbers[-1]
        with self._lock:
            if key not in self._open:
                while len(self._open) >= OPEN:
                    del self._open[next(iter(self._open))]
                self._open[key] = Tables(reader, key[1], self._duck)
            return self._open[key]


def number(request: Request, name: str, otherwise: int) -> int:
    """A whole number of the address.

    Raises:
        DatasetError: it is none.
    """
    text = request.query_params.get(name, "")
    try:
        return int(text) if text else otherwise
    except ValueError:
        raise DatasetError(f"{name} is no whole number") from None


def view_of(request: Request, tables: Tables) -> View:
    """The view that a request describes."""
    asked = request.query_params
    try:
        filters = tuple((str(c), str(o), str(v)) for c, o, v in json.loads(asked.get("filters") or "[]"))
    except (ValueError, TypeError):
        raise DatasetError("filters are a list of [column, operator, value]") from None
    table = tables.table(asked.get("table") or next(iter(tables.tables), "documents"))
    return View(
        table,
        asked.get("search", ""),
        asked.get("mode") or "text",
        filters,
        asked.get("sort", ""),
        asked.get("desc") == "1",
    )


def build(paths: list[str]) -> Starlette:
    """The application over these datasets.

    Raises:
        DatasetError: one of them is none. MissingDependencyError: DuckDB is not installed.
    """
    library = Library(paths)
    answers: dict[str, Callable[[Request, Any], Any]] = {
        "datasets": lambda r, c: [_about(reader) for reader in library.readers],
        "open": lambda r, c: _opened(library.tables(r)),
        "rows": lambda r, c: queries.page(c, view_of(r, library.tables(r)), max(0, number(r, "offset", 0)), PAGE),
        "dropped_texts": lambda r, c: dropped.matching(
            c, library.tables(r), view_of(r, library.tables(r)), r.state.gone.is_set
        ),
        "count": lambda r, c: queries.count(c, view_of(r, library.tables(r))),
        "values": lambda r, c: queries.values(c, view_of(r, library.tables(r)).table, r.query_params.get("column", "")),
        "document": lambda r, c: document.document(c, library.tables(r), r.query_params.get("id", "")),
        "pair": lambda r, c: _pair(r, c, library.tables(r)),
        "texts": lambda r, c: _texts(r, c, library.tables(r)),
        "histogram": lambda r, c: thresholds.histogram(c, library.tables(r), *_rule(r)),
        "stays": lambda r, c: thresholds.stays(c, library.tables(r), *_rule(r), limit=_limit(r)),
        "changing": lambda r, c: thresholds.changing(c, library.tables(r), *_rule(r), limit=_limit(r)),
        "clusters": lambda r, c: topics.clusters(library.tables(r)),
        "members": lambda r, c: topics.members(
            library.tables(r), number(r, "cluster", -1), max(0, number(r, "offset", 0))
        ),
        "diff": lambda r, c: _diff(r, c, library),
        "changed": lambda r, c: _changed(r, c, library),
        "progress": lambda r, c: live.progress(library.tables(r).reader),
        "recipe": lambda r, c: {"yaml": export.recipe_change(view_of(r, library.tables(r)))},
        "limit": lambda r, c: {"yaml": export.limit_change(*_rule(r), _limit(r), r.query_params.get("whole") == "1")},
    }

    async def api(request: Request) -> Response:
        work = answers.get(request.path_params["name"])
        if work is None:
            return JSONResponse({"error": "there is no such question"}, 404)
        try:
            return JSONResponse(safe(await _cancellable(request, library, work)))
        except asyncio.CancelledError:
            return JSONResponse({"error": "cancelled"}, 499)
        except (CorpusmillError, ValueError, OSError) as error:
            return JSONResponse({"error": safe(str(error))}, 400)
        except Exception as error:
            if not type(error).__module__.startswith(("duckdb", "_duckdb")):
                raise
            return JSONResponse({"error": safe(str(error).splitlines()[0][:500])}, 400)

    async def download(request: Request) -> Response:
        try:
            view = view_of(request, library.tables(request))
            if request.path_params["name"] == "parquet":
                path = await _cancellable(request, library, lambda r, c: export.parquet_file(c, view))
                return FileResponse(path, filename="view.parquet", background=BackgroundTask(os.remove, path))
            if "id" not in view.table.columns:
                raise DatasetError(f"rows of {view.table.name} have no ids")
            lines = export.forget_list(library.tables(request).cursor(), view)
            named = {"content-disposition": 'attachment; filename="forget.jsonl"'}
            return StreamingResponse(lines, media_type="application/jsonl", headers=named)
        except CorpusmillError as error:
            return JSONResponse({"error": safe(str(error))}, 400)

    async def report(request: Request) -> Response:
        from corpusmill.pipelines.report.html import page

        try:
            tables = library.tables(request)
        except CorpusmillError as error:
            return JSONResponse({"error": safe(str(error))}, 400)
        made = await asyncio.to_thread(page, tables.reader, tables.manifest)
        policy = {"content-security-policy": "frame-ancestors 'none'; script-src 'none'; connect-src 'none'"}
        return Response(made, media_type="text/html", headers=policy)

    async def static(request: Request) -> Response:
        name = STATIC.get(request.path_params.get("name", ""))
        if name is None:
            return JSONResponse({"error": "there is no such file"}, 404)
        folder = files("corpusmill.pipelines.report" if name == "page.css" else "corpusmill.pipelines.browse")
        return Response(folder.joinpath(name).read_bytes(), media_type=KINDS[os.path.splitext(name)[1]])

    routes = [
        Route("/api/{name}", api),
        Route("/export/{name}", download),
        Route("/report", report),
        Route("/{name}", static),
        Route("/", static),
    ]
    return Starlette(routes=routes)


async def _cancellable(request: Request, library: Library, work: Callable[[Request, Any], Any]) -> Any:
    """The result of `work` in a thread, with a cursor of its own. If the page no longer waits for it, the query is stopped, and
    `request.state.gone` is set."""
    request.state.gone = threading.Event()
    cursor = (await asyncio.to_thread(library.tables, request)).cursor()
    task = asyncio.ensure_future(asyncio.to_thread(work, request, cursor))
    try:
        while not (await asyncio.wait({task}, timeout=0.1))[0]:
            if await request.is_disconnected():
                request.state.gone.set()
                cursor.interrupt()
        return task.result()
    finally:
        cursor.close()


def _about(reader: Dataset) -> dict[str, Any]:
    reader = Dataset(reader.path)
    return {"path": reader.path, "name": reader.manifest()["name"], "snapshots": reader.snapshots()[::-1]}


def _opened(tables: Tables) -> dict[str, Any]:
    manifest = tables.manifest
    return {
        "number": manifest["number"],
        "created": manifest.get("created"),
        "documents": manifest["documents"],
        "bytes": manifest["bytes"],
        "packed": tables.packed,
        "private": bool(tables.private),
        "tables": [
            {"name": t.name, "rows": None if t.hidden else t.rows, "columns": t.columns} for t in tables.tables.values()
        ],
        "scores": tables.scores(),
    }


def _rule(request: Request) -> tuple[str, str]:
    return request.query_params.get("step", ""), request.query_params.get("rule", "")


def _limit(request: Request) -> float:
    value = float(request.query_params.get("limit") or "nan")
    if value != value or value in (float("inf"), float("-inf")):
        raise DatasetError("limit is no finite number")
    return value


def _pair(request: Request, cursor: Any, tables: Tables) -> dict[str, Any]:
    a, b = request.query_params.get("a", ""), request.query_params.get("b", "")
    found = document.texts(cursor, tables, [a, b])
    if a not in found or b not in found:
        return {
            "lines": [],
            "problem": "One of the texts is neither in the snapshot nor in the sources as they are now.",
        }
    return {"lines": compare.texts(found[a].text, found[b].text), "problem": ""}


def _texts(request: Request, cursor: Any, tables: Tables) -> list[dict[str, str]]:
    names = [str(n) for n in json.loads(request.query_params.get("ids") or "[]")][:40]
    found = document.texts(cursor, tables, names)
    return [{"_id": name, "text": text.text[:600]} for name, text in found.items()]


def _diff(request: Request, cursor: Any, library: Library) -> dict[str, Any]:
    old, new = (library.open(number(request, "d", 0), number(request, side, 0)) for side in "ab")
    change, offset = request.query_params.get("change", ""), max(0, number(request, "offset", 0))
    return compare.snapshots(cursor, old, new, change, offset, PAGE)


def _changed(request: Request, cursor: Any, library: Library) -> dict[str, Any]:
    """A document in two snapshots, side by side."""
    name = request.query_params.get("id", "")
    sides = [library.open(number(request, "d", 0), number(request, side, 0)) for side in "ab"]
    texts = [document.texts(cursor, tables, [name], sources=False).get(name) for tables in sides]
    return {"lines": compare.texts(*(t.text if t else "" for t in texts)), "problem": ""}
