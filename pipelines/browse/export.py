"""What is seen, for use elsewhere: a change of the recipe, a list for `forget`, a Parquet file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import Any

import yaml

from corpusmill.pipelines.browse import queries
from corpusmill.pipelines.browse.queries import View
from corpusmill.pipelines.browse.tables import FILE, ROW, literal

_BOUNDS = {"≥": "min_value", "≤": "max_value"}


def recipe_change(view: View) -> str:
    """Steps that keep what a view shows, as YAML for the recipe's `steps`. What no step can say stands in comments."""
    steps: list[dict[str, Any]] = []
    left: list[str] = []
    for column, operator, value in view.filters:
        typed = _typed(view.table.columns[column], value)
        if operator in _BOUNDS and isinstance(typed, int | float):
            steps.append({"where": {"column": column, _BOUNDS[operator]: typed}})
        elif operator in ("=", "≠"):
            steps.append({"where": {"column": column, "keep" if operator == "=" else "drop": [typed]}})
        else:
            left.append(f"{column} {operator} {value}".strip())
    if view.search:
        left.append(f"text: {view.mode} {view.search!r}")
    lines = ["# add to `steps` of the recipe"]
    lines += [yaml.safe_dump(steps, sort_keys=False, allow_unicode=True).rstrip()] if steps else []
    lines += [
        f"# no step of corpusmill says this; write a function of your own: {' '.join(text.split())}" for text in left
    ]
    return "\n".join(lines) + "\n"


def limit_change(step: str, rule: str, limit: float, whole: bool) -> str:
    """A new limit of a rule, as a change of the recipe and as an option of `run`."""
    value = int(limit) if whole and float(limit).is_integer() else limit
    body = yaml.safe_dump([{step.partition("#")[0]: {rule: value}}], sort_keys=False).rstrip()
    return f"# change in `steps` of the recipe; to try it: corpusmill run RECIPE --set {step}.{rule}={value}\n{body}\n"


def _typed(kind: str, value: str) -> Any:
    try:
        if "INT" in kind:
            return int(value)
        if kind in ("DOUBLE", "FLOAT") or kind.startswith("DECIMAL"):
            return float(value)
    except ValueError:
        pass
    return value == "true" if kind == "BOOLEAN" else value


def forget_list(cursor: Any, view: View) -> Iterator[str]:
    """The ids of all rows that match, as JSON lines for `corpusmill forget --ids`."""
    import json

    found = queries.ids(cursor, view)
    while rows := found.fetchmany(10_000):
        yield "".join(json.dumps({"id": name}) + "\n" for (name,) in rows if name is not None)


def parquet_file(cursor: Any, view: View) -> str:
    """The path of a temporary Parquet file of all rows that match, with every column. The caller removes it."""
    handle, path = tempfile.mkstemp(suffix=".parquet", prefix="corpusmill-browse-")
    os.close(handle)
    without = f" EXCLUDE ({FILE}, {ROW})" if view.table.placed else ""
    query = f"SELECT *{without} FROM {view.table.sql}{view.where}"
    cursor.execute(
        f"COPY ({query}) TO {literal(path)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 10000)", view.parameters
    )
    return path
