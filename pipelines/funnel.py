"""The funnel: how many rows and bytes each source gave, and what each step did to them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from pipelines.chain import kind_of
from pipelines.job import Job
from pipelines.snapshot import funnel_problems
from transforms.errors import ConservationError


def build(job: Job) -> dict[str, Any]:
    """Sum the accounting of all passes, in the recipe's order.

    Raises:
        ConservationError: some row is not accounted for.
    """
    passes = [job.outcomes(i) for i, s in enumerate(job.stages) if s.kind == "pass"]
    steps: dict[str, dict[str, Any]] = {}
    for number, outcomes in enumerate(passes):
        head = [job.groups[number - 1]] if number else []
        for step in [*head, *job.fused(number)]:
            counts = [c for o in outcomes for c in o["counts"] if c["step"] == step.name]
            dropped: Counter[str] = Counter()
            for c in counts:
                dropped.update(c["dropped"])
            sums = {k: sum(c[k] for c in counts) for k in ("rows_in", "rows_out", "derived", "bytes_in", "bytes_out")}
            kind = kind_of(step.transform)
            steps[step.name] = {"name": step.name, "kind": kind, **sums, "dropped": dict(sorted(dropped.items()))}
    reads = [o["read"] for o in passes[0]]
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
        "steps": [steps[s.name] for s in job.recipe.steps],
        "rows_in": sum(s["rows"] for s in sources),
        "rows_out": sum(o["rows"] for o in passes[-1]),
        "quarantined": sum(s["quarantined"] for s in sources),
    }
    problems = funnel_problems(funnel)
    if problems:
        raise ConservationError(f"{job.dataset}: {'; '.join(problems)}. Nothing was committed; please report this.")
    return funnel
