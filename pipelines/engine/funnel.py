"""Builds the funnel: rows and bytes of each source, and what each step did to them."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

from corpusmill.pipelines.dataset.outcome import CountRecord, ReadRecord
from corpusmill.pipelines.dataset.suppression import REASON, STEP
from corpusmill.pipelines.dataset.verify import funnel_problems
from corpusmill.pipelines.engine import edits
from corpusmill.pipelines.engine.job import Job
from corpusmill.transforms.base import kind_of
from corpusmill.transforms.errors import ConservationError
from corpusmill.transforms.manifest import Funnel, LeftOut, SourceCount, StepCount

UNKNOWN = "unknown file"


def build(job: Job) -> Funnel:
    """Sum the accounting of all passes, in the recipe's order.

    Raises:
        ConservationError: some row is not accounted for.
    """
    passes = [job.outcomes(i) for i, s in enumerate(job.stages) if s.kind == "pass"]
    scattered = [job.outcomes(i) for i, s in enumerate(job.stages) if s.kind == "scatter"]
    every: dict[str, list[CountRecord]] = {s.name: [] for s in job.recipe.steps}
    for outcome in itertools.chain(*passes, *scattered):
        for count in outcome["counts"]:
            every[count["step"]].append(count)
    reads = [o["read"] for o in passes[0]]
    steps = _suppressed(reads) + [_sum(s.name, kind_of(s.transform), every[s.name]) for s in job.recipe.steps]
    sources: list[SourceCount] = []
    for spec in job.recipe.sources:
        mine = [r for r in reads if r["source"] == spec.name]
        source: SourceCount = {
            "name": spec.name,
            "rows": sum(r["rows"] for r in mine),
            "bytes": sum(r["bytes"] for r in mine),
            "quarantined": sum(r["bad"] for r in mine),
        }
        left = _left_out(mine, [f for f in job.left_out() if f["source"] == spec.name])
        if left:
            source["left_out"] = left
        sources.append(source)
    funnel: Funnel = {
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


def _left_out(reads: list[ReadRecord], files: list[dict[str, Any]]) -> dict[str, LeftOut]:
    """What files of a source hold beside documents, and its files that no format reads."""
    found: dict[str, LeftOut] = {}
    counts = [(kind, n, example) for r in reads for kind, (n, example) in r.get("left_out", {}).items()]
    for kind, number, example in counts + [(UNKNOWN, f["files"], f["example"]) for f in files]:
        before = found.get(kind, {"number": 0, "example": example})
        found[kind] = {"number": before["number"] + number, "example": min(before["example"], example)}
    return dict(sorted(found.items()))


def _suppressed(reads: list[ReadRecord]) -> list[StepCount]:
    """Rows that the suppression list kept out, as a first step; nothing if there are none."""
    gone = sum(r.get("suppressed", 0) for r in reads)
    if not gone:
        return []
    rows, size = sum(r["rows"] - r["bad"] for r in reads), sum(r["bytes"] for r in reads)
    return [list_step(rows, gone, size, sum(r.get("suppressed_bytes", 0) for r in reads))]


def list_step(rows: int, gone: int, size: int, gone_bytes: int) -> StepCount:
    """The suppression list as a step of the funnel."""
    return {
        "name": STEP,
        "kind": "filter",
        "rows_in": rows,
        "rows_out": rows - gone,
        "derived": 0,
        "bytes_in": size,
        "bytes_out": size - gone_bytes,
        "dropped": {REASON: gone},
    }


def _sum(name: str, kind: str, counts: list[CountRecord]) -> StepCount:
    """The accounting of one step over all its shards."""
    dropped: Counter[str] = Counter()
    details: Counter[str] = Counter()
    for c in counts:
        dropped.update(c["dropped"])
        # reports compute shares from the summed figures; shares themselves are not summed
        details.update({k: v for k, v in c["details"].items() if isinstance(v, int)})
    details = Counter(edits.agreed(details, counts, kind))
    step: StepCount = {
        "name": name,
        "kind": kind,
        "rows_in": sum(c["rows_in"] for c in counts),
        "rows_out": sum(c["rows_out"] for c in counts),
        "derived": sum(c["derived"] for c in counts),
        "bytes_in": sum(c["bytes_in"] for c in counts),
        "bytes_out": sum(c["bytes_out"] for c in counts),
        "dropped": dict(sorted(dropped.items())),
    }
    # a text, such as the digest of a tokenizer, is kept if all shards agree on it
    texts = {
        k: {c["details"].get(k) for c in counts} for c in counts for k, v in c["details"].items() if isinstance(v, str)
    }
    agreed = {k: v.pop() for k, v in texts.items() if len(v) == 1}
    if details or agreed:
        step["details"] = dict(sorted({**details, **agreed}.items()))
    return step
