"""A mixture as asked, as planned, and as written: `corpusmill show`."""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.report.terminal import Cell, Column, table
from corpusmill.pipelines.wording import count, share, size


def render(rows: list[dict[str, Any]]) -> str:
    """The rows of `engine.mixture.mixture` as a table; a domain that the cap on epochs keeps below its asked share is marked."""
    right = [
        Column(t, True) for t in ("documents", "size", "epochs", "asked", "planned", "written", "documents", "size")
    ]
    cells: list[list[Cell | str]] = []
    for row in rows:
        amount = size if row["unit"] == "bytes" else count
        short = row["planned_share"] < row["asked_share"] * 0.999
        cells.append(
            [
                row["domain"],
                count(row["documents"]),
                amount(row["size"]),
                f"{row['epochs']:.3g}",
                share(row["asked_share"], 1),
                Cell(share(row["planned_share"], 1), "loss" if short else ""),
                share(row["realised_share"], 1),
                count(row["realised_documents"]),
                amount(row["realised_size"]),
            ]
        )
    said = table([f"mixture by {rows[0]['unit']}", *right], cells)
    if any(row["planned_share"] < row["asked_share"] * 0.999 for row in rows):
        said += "\nSome domains are planned below what was asked: `max_epochs` bounds their repeats."
    return said
