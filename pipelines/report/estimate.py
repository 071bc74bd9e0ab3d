"""The output of `corpusmill plan --price` and `--for`."""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.report.terminal import Cell, Column, table
from corpusmill.pipelines.wording import duration, size


def render(costs: dict[str, Any]) -> str:
    """CPU time and key bytes of each stage, then the totals."""
    rows: list[list[Cell | str]] = [
        [
            s["name"],
            duration(s["cpu_seconds"]),
            size(s["key_bytes"]),
            Cell("one task: more workers do not help" if s["serial"] else "", "dim"),
        ]
        for s in costs["stages"]
    ]
    right = [Column(title, right=True) for title in ("CPU", "keys")]
    lines = [
        table(["stage", *right, ""], rows),
        "",
        f"corpus     {size(costs['bytes'])}, scaled from {size(costs['measured_bytes'])} that ran",
        f"CPU        {costs['cpu_hours']:,.2f} hours ({costs['mb_per_cpu_second']:.1f} MB of source per CPU second)",
        f"shuffled   {size(costs['shuffle_bytes'])} of keys; documents stay where they are",
        f"time       {duration(costs['seconds'])} on {costs['workers']} workers that are always busy",
        f"memory     {size(costs['memory'])} a worker: {costs['formula']}",
    ]
    if costs["measured_bytes"] < 50_000_000:
        lines.append("caution    the sample is small, so start-up dominates its CPU time. Use 50 MB or more.")
    if costs["cost"] is not None:
        lines.append(f"cost       {costs['cost']:,.2f} at the given price of a CPU hour, without storage")
    return "\n".join(lines)
