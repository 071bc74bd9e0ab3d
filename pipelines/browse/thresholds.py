"""What another limit of a rule would keep: counts, a histogram, and the documents that change sides.

The same sums as `corpusmill plan --what-if` (`pipelines.operations.what_if`), asked of DuckDB: the other rules of the step keep
their limits, and documents that rules without a limit dropped stay dropped. nan breaks no rule.
"""

from __future__ import annotations

import math
from typing import Any

from corpusmill.pipelines.browse.tables import Tables, identifier
from corpusmill.transforms.errors import DatasetError

BINS, FINE = 60, 960
"""Bars of a histogram, and the finer steps of which the page sums up at once what a limit keeps."""


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

    fine: for each of FINE steps, documents and bytes that stay now, and documents and bytes that may come.
    """
    source, score = tables.table(f"scores/{step}").sql, identifier(rule[4:])
    limit = _rules(tables, step).get(rule)
    known = f"FROM {source} WHERE {score} IS NOT NULL AND isfinite({score}::DOUBLE)"
    row = cursor.execute(
        f"SELECT min({score}), max({score}), approx_quantile({score}::DOUBLE, [0.005, 0.5, 0.995]) {known}"
    ).fetchone()
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
    begin, end = (math.log10(low), math.log10(high)) if log else (low, high)
    value = f"log10(greatest({score}::DOUBLE, {low!r}))" if log else f"{score}::DOUBLE"
    bin_of = f"least({FINE - 1}, greatest(0, floor(({value} - {begin!r}) / {(end - begin) / FINE!r})))::INTEGER"
    stays, comes = _sides(tables, step, rule)
    sums = ", ".join(f"count(*) FILTER ({c}), coalesce(sum(bytes) FILTER ({c}), 0)" for c in (stays, comes))
    found = {
        row[0]: row[1:] for row in cursor.execute(f"SELECT {bin_of}, count(*), {sums} {known} GROUP BY 1").fetchall()
    }
    fine = [[int(x) for x in found.get(i, (0,) * 5)] for i in range(FINE)]
    width = FINE // BINS
    return {
        "bins": [sum(f[0] for f in fine[i * width : (i + 1) * width]) for i in range(BINS)],
        "fine": [f[1:] for f in fine],
        "low": low,
        "high": high,
        "log": log,
        "limit": limit,
        "least": least,
        "most": most,
        "whole": "INT" in tables.table(f"scores/{step}").columns[rule[4:]],
    }


def _sides(tables: Tables, step: str, rule: str) -> tuple[str, str]:
    """SQL of the documents that another limit of a rule may drop, and of those that it may let in."""
    known = {r: _passes(r, float(v)) for r, v in _rules(tables, step).items() if v is not None}
    every = " AND ".join(known.values()) or "true"
    others = " AND ".join(p for r, p in known.items() if r != rule) or "true"
    return f"kept AND {known.get(rule, 'true')}", f"NOT kept AND {others} AND NOT ({every})"
