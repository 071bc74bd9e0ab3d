"""What another limit of a rule would keep: counts, a histogram, and the documents that change sides.

The same sums as `corpusmill plan --what-if` (`pipelines.operations.what_if`), asked of DuckDB: the other rules of the step keep
their limits, and documents that rules without a limit dropped stay dropped. nan breaks no rule.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from corpusmill.pipelines.browse.tables import Tables, identifier
from corpusmill.transforms.errors import DatasetError

BINS, STEPS = 60, 960
"""Bars of a histogram, and steps of the slider."""
BATCH = 100_000
"""Scores that are counted together."""


def _passes(rule: str, limit: float) -> str:
    """SQL: whether a score passes. DuckDB sorts nan above all numbers, so it is named."""
    score = identifier(rule[4:])
    compared = f"{score} >= {limit!r}" if rule.startswith("min_") else f"{score} <= {limit!r}"
    return f"({score} IS NULL OR isnan({score}::DOUBLE) OR {compared})"


def _stays(tables: Tables, step: str, rule: str, limit: float) -> str:
    """SQL: whether a document stays with another limit of a rule.

    A document that is kept although its score is beyond the limit is one that the rule does not apply to, as rules about words
    in scripts without spaces: it stays at every limit.
    """
    rules = _rules(tables, step)
    if rule not in rules:
        raise DatasetError(f"step {step} has no rule {rule} with scores; it has: {', '.join(rules)}")
    stays, comes = _sides(tables, step, rule)
    new = _passes(rule, limit)
    return f"((kept AND ({new} OR NOT ({stays}))) OR ({comes} AND {new}))"


def _rules(tables: Tables, step: str) -> dict[str, Any]:
    scores = tables.scores()
    if step not in scores:
        raise DatasetError(f"step {step} kept no scores; steps that did: {', '.join(scores) or 'none'}")
    return scores[step]


def stays(cursor: Any, tables: Tables, step: str, rule: str, limit: float) -> dict[str, Any]:
    """Documents and bytes that would stay, and those that stay now; of those that enter the step."""
    new, source = _stays(tables, step, rule, limit), tables.table(f"scores/{step}").sql
    query = (
        f"SELECT count(*), count(*) FILTER ({new}), coalesce(sum(bytes) FILTER ({new}), 0), "
        f"count(*) FILTER (kept), coalesce(sum(bytes) FILTER (kept), 0), "
        f"count(*) FILTER (kept AND NOT ({new})), count(*) FILTER (NOT kept AND ({new})) FROM {source}"
    )
    row = [int(x) for x in cursor.execute(query).fetchone()]
    names = ("entered", "documents", "bytes", "documents_now", "bytes_now", "leave", "come")
    return dict(zip(names, row, strict=True))


def changing(
    cursor: Any, tables: Tables, step: str, rule: str, limit: float, count: int = 12
) -> dict[str, list[dict[str, Any]]]:
    """Documents that would leave, and that would come, nearest to the new limit first: id and value."""
    new, source = _stays(tables, step, rule, limit), tables.table(f"scores/{step}").sql
    score = identifier(rule[4:])
    found = {}
    for side, condition in (("leave", f"kept AND NOT ({new})"), ("come", f"NOT kept AND ({new})")):
        query = (
            f"SELECT id, {score} FROM {source} WHERE {condition} ORDER BY abs({score} - {limit!r}), id LIMIT {count}"
        )
        found[side] = [
            {"id": name, "_id": name, "value": float(value)} for name, value in cursor.execute(query).fetchall()
        ]
    return found


def histogram(cursor: Any, tables: Tables, step: str, rule: str) -> dict[str, Any]:
    """Counts of a score in equal bins between its outer quantiles (`log`: of its logarithm), and the range of a slider.

    limits: of the slider's STEPS + 1 places; fine: for each of them, documents and bytes that would leave, and that would come,
    exactly; now: what enters the step and stays now. So a slider that moves asks nothing.
    """
    source, score = tables.table(f"scores/{step}").sql, identifier(rule[4:])
    limit = _rules(tables, step).get(rule)
    known = f"FROM {source} WHERE {score} IS NOT NULL AND isfinite({score}::DOUBLE)"
    row = cursor.execute(
        f"SELECT min({score}), max({score}), approx_quantile({score}::DOUBLE, [0.005, 0.5, 0.995]) {known}"
    ).fetchall()[0]  # to its end, so that the connection is free again
    if row[0] is None:
        return {
            "bins": [],
            "low": 0.0,
            "high": 1.0,
            "log": False,
            "limit": limit,
            "least": 0.0,
            "most": 1.0,
            "whole": False,
        }
    least, most, (low, middle, high) = float(row[0]), float(row[1]), row[2]
    if limit is not None:
        low, high = min(low, limit), max(high, limit)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    log = low > 0 and high / max(middle, low) > 15
    whole = "INT" in tables.table(f"scores/{step}").columns[rule[4:]]
    edges = _limits(low, high, log, whole)
    counts, below = _counted(cursor, tables, step, rule, edges)
    bins = [sum(c) for c in np.array_split(counts["all"], BINS)]
    names = ("leave", "leave_bytes", "come", "come_bytes")
    query = f"SELECT count(*), count(*) FILTER (kept), coalesce(sum(bytes) FILTER (kept), 0) FROM {source}"
    now = [int(x) for x in cursor.execute(query).fetchall()[0]]
    return {
        "bins": [int(n) for n in bins],
        "limits": edges.tolist(),
        "fine": np.stack([below[n] for n in names], 1).tolist(),
        "now": dict(zip(("entered", "documents_now", "bytes_now"), now, strict=True)),
        "low": low,
        "high": high,
        "log": log,
        "limit": limit,
        "least": least,
        "most": most,
        "whole": whole,
    }


def _limits(low: float, high: float, log: bool, whole: bool) -> np.ndarray:
    """The limits of the slider's steps, float64 [STEPS + 1], in the digits in which they are shown."""
    begin, end = (math.log10(low), math.log10(high)) if log else (low, high)
    values = (begin + i / STEPS * (end - begin) for i in range(STEPS + 1))
    raw = [10**v if log else v for v in values]
    return np.array([round(v) if whole else float(f"{v:.4g}") for v in raw], np.float64)


def _counted(
    cursor: Any, tables: Tables, step: str, rule: str, limits: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """One pass over the scores: how many lie between each two limits (`all`), and exactly what each limit changes.

    leave, come: documents that would leave or come at each limit, int64 [STEPS + 1]; leave_bytes, come_bytes: their text.
    """
    source, score = tables.table(f"scores/{step}").sql, identifier(rule[4:])
    stays, comes = _sides(tables, step, rule)
    lower = rule.startswith("min_")
    query = (
        f"SELECT {score}::DOUBLE, bytes::DOUBLE, ({stays}), ({comes}) FROM {source} "
        f"WHERE {score} IS NOT NULL AND NOT isnan({score}::DOUBLE)"
    )
    n = len(limits)
    spread = np.zeros(n + 1, np.int64)
    sums = {side: np.zeros((2, n + 1), np.float64) for side in ("leave", "come")}
    for batch in cursor.sql(query).to_arrow_reader(BATCH):
        values, size, *sides = (column.to_numpy(zero_copy_only=False) for column in batch.columns)
        # min_: a limit lets pass what is not below it, so a score passes the limits up to its place; max_: those from it on
        place = np.searchsorted(limits, values, side="right" if lower else "left")
        spread += np.bincount(place, minlength=n + 1)
        for side, mask in zip(sums, sides, strict=True):
            sums[side][0] += np.bincount(place[mask], minlength=n + 1)
            sums[side][1] += np.bincount(place[mask], size[mask], minlength=n + 1)
    found: dict[str, np.ndarray] = {}
    for side, both in sums.items():
        for name, each in zip((side, f"{side}_bytes"), both, strict=True):
            fails = np.cumsum(each)[:n] if lower else each.sum() - np.cumsum(each)[:n]
            found[name] = (fails if side == "leave" else each.sum() - fails).astype(np.int64)
    spread[1] += spread[0]  # what lies outside the slider stands in the first and the last bar
    spread[n - 1] += spread[n]
    return {"all": spread[1:n]}, found


def _sides(tables: Tables, step: str, rule: str) -> tuple[str, str]:
    """SQL of the documents that another limit of a rule may drop, and of those that it may let in."""
    known = {r: _passes(r, float(v)) for r, v in _rules(tables, step).items() if v is not None}
    every = " AND ".join(known.values()) or "true"
    others = " AND ".join(p for r, p in known.items() if r != rule) or "true"
    return f"kept AND {known.get(rule, 'true')}", f"NOT kept AND {others} AND NOT ({every})"
