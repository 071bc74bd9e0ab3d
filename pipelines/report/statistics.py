"""Private counts of a snapshot, for `corpusmill show` and the HTML report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from corpusmill.pipelines.report.terminal import Column, table
from corpusmill.pipelines.wording import count
from corpusmill.privacy.certification import unguarded

EXACT = (
    "The funnel counts private documents exactly, so show it only to those who may read them. These counts may be published; "
    "the funnel may not."
)


def private_note(manifest: Mapping[str, Any]) -> str:
    """A line to print below figures of a snapshot that holds private text; "" for any other."""
    text = unguarded(manifest)
    return f"Not for publication: these figures are exact, and the text is private ({'; '.join(text)})." if text else ""


def head(release: dict[str, Any]) -> str:
    """What was counted, and the epsilon that was paid."""
    unit = "documents" if release["unit"] == "document" else f"values of `{release['unit']}`"
    return (
        f"private counts of {unit} of {', '.join(release['sources'])}: epsilon {release['epsilon']:g} at delta "
        f"{release['delta']:g}, {release['adjacency']}"
    )


def cells(release: dict[str, Any]) -> list[list[str]]:
    """One row for each group: by, group, privacy units, 95 % range of the noise."""
    return [
        [
            r["by"],
            "(none)" if r["group"] is None else r["group"],
            count(round(r["units"])),
            f"±{1.96 * r['deviation']:,.0f}",
        ]
        for r in release["counts"]
    ]


def render(release: dict[str, Any]) -> str:
    """The counts as a table. Groups with few privacy units are not named."""
    rows = cells(release)
    low = min((r["threshold"] for r in release["counts"]), default=0.0)
    counts = table(["by", "group", Column("units", True), Column("noise (95 %)", True)], rows) if rows else "no group"
    below = (
        f"Groups of fewer than about {low:,.0f} units are not named."
        if rows
        else "No group has enough units to be named."
    )
    return f"{head(release)}\n{counts}\n{below}"
