"""The funnel: how many rows and bytes each source gave, and what each step did to them."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

from corpusmill.pipelines.dataset.snapshot import funnel_problems
from corpusmill.pipelines.dataset.suppression import REASON, STEP
from corpusmill.pipelines.engine.job import Job
from corpusmill.transforms.base import kind_of
from corpusmill.transforms.errors import ConservationError


def build(job: Job) -> dict[str, Any]:
    """Sum the accounting of all passes, in the recipe's order.

    Raises:
        ConservationError: some row is not accounted for.
    """
    passes = [job.outcomes(i) for i, s in enumerate(job.stages) if s.kind == "pass"]
    scattered = [job.outcomes(i) for i, s in enumerate(job.stages) if s.kind == "scatter"]
    every: dict[str, list[dict[str, Any]]] = {s.name: [] for s in job.recipe.steps}
    for outcome in itertools.chain(*passes, *scattered):
        for count in outcome["counts"]:
            every[count["step"]].append(count)
    reads = [o["read"] for o in passes[0]]
    steps = _suppressed(reads) + [_sum(s.name, kind_of(s.transform), every[s.name]) for s in job.recipe.steps]
    sources = []
    for spec in job.recipe.sources:
        mine = [r for r in reads if r["source"] == spec.name]
        sources.append(
            {
                "name": spec.name,
                "rows": sum(r["rows"] for r in mine),
                "bytes": sum(r["bytes"] for r in mine),
                "quarantined": sum(r["bad"] for r in mine),
            }
        )
    funnel = {
        "sources": sources,
        "steps": steps,
        "rows_in": sum(s["rows"] for s in sources),
        "rows_out": sum(o["rows"] for o in passes[-1]),
        "quarantined": sum(s["quarantined"] for s in sources),
    }
    problems = funnel_problems(funnel)
    if problems:
        raise ConservationError(f"{job.dataset}: {'; '.join(problems)}. Nothing was committed; please report this.")
    return funnel


def _suppressed(reads: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the suppression list kept out, as a step before all others, where it kept out something."""
    gone = sum(r.get("suppressed", 0) for r in reads)
    if not gone:
        return []
    rows, size = sum(r["rows"] - r["bad"] for r in reads), sum(r["bytes"] for r in reads)
    return [list_step(rows, gone, size, sum(r.get("suppressed_bytes", 0) for r in reads))]


def list_step(rows: int, gone: int, size: int, gone_bytes: int) -> dict[str, Any]:
    """The suppression list as a step of the funnel."""
    sums = {"rows_in": rows, "rows_out": rows - gone, "derived": 0, "bytes_in": size, "bytes_out": size - gone_bytes}
    return {"name": STEP, "kind": "filter", **sums, "dropped": {REASON: gone}}


def _sum(name: str, kind: str, counts: list[dict[str, Any]]) -> dict[str, Any]:
    """The accounting of one step over all its shards."""
    dropped: Counter[str] = Counter()
    details: Counter[str] = Counter()
    for c in counts:
        dropped.update(c["dropped"])
        # shares are made of their sums by whoever shows them, not summed
        details.update({k: v for k, v in c["details"].items() if isinstance(v, int)})
    sums = {k: sum(c[k] for c in counts) for k in ("rows_in", "rows_out", "derived", "bytes_in", "bytes_out")}
    found = {"name": name, "kind": kind, **sums, "dropped": dict(sorted(dropped.items()))}
    # a text, such as the digest of a tokenizer, is told where all shards agree on it
    texts = {
        k: {c["details"].get(k) for c in counts} for c in counts for k, v in c["details"].items() if isinstance(v, str)
    }
    told = {k: v.pop() for k, v in texts.items() if len(v) == 1}
    return {**found, "details": dict(sorted({**details, **told}.items()))} if details or told else found
