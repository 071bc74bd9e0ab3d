"""What `corpusmill plan --price` and `--for` print."""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.report.terminal import Cell, Column, table
from corpusmill.pipelines.wording import duration, size


def render(found: dict[str, Any]) -> str:
    """Each stage's CPU and key bytes, then the sums."""
    rows: list[list[Cell | str]] = [
        [
            s["name"],
            duration(s["cpu_seconds"]),
            size(s["key_bytes"]),
            Cell("one unit: more workers do not help" if s["serial"] else "", "dim"),
        ]
        for s in found["stages"]
    ]
    right = [Column(title, right=True) for title in ("CPU", "keys")]
    lines = [
        table(["stage", *right, ""], rows),
        "",
        f"corpus     {size(found['bytes'])}, scaled from {size(found['measured_bytes'])} that ran",
        f"CPU        {found['cpu_hours']:,.2f} hours ({found['mb_per_cpu_second']:.1f} MB of source per CPU second)",
        f"shuffled   {size(found['shuffle_bytes'])} of keys; documents stay where they are",
        f"time       {duration(found['seconds'])} on {found['workers']} workers that are always busy",
        f"memory     {size(found['memory'])} a worker: {found['formula']}",
    ]
    if found["measured_bytes"] < 50_000_000:
        lines.append(
            "caution    the sample is small: starting up and compiling stand in its CPU time. Take 50 MB or more."
        )
    if found["cost"] is not None:
        lines.append(
            f"cost       {found['cost']:,.2f}, at the price of a CPU hour that was given; storage is not in it"
        )
    return "\n".join(lines)
