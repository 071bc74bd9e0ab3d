"""The mixture of a snapshot in `corpusmill show`: the asked, the planned and the written shares."""

from __future__ import annotations

from corpusmill.pipelines.dataset.apart import once_each
from corpusmill.pipelines.report.terminal import Cell, Column, table
from corpusmill.pipelines.wording import count, share, size
from corpusmill.transforms.manifest import Funnel, Mixed


def render(rows: list[Mixed], funnel: Funnel | None = None) -> str:
    """The rows of `engine.mixture.mixture` as a table. Domains that `max_epochs` keeps below their asked share are marked.
    funnel: of the snapshot; evaluation documents beside the mixture are told from it."""
    right = [
        Column(t, True) for t in ("documents", "size", "epochs", "asked", "planned", "written", "documents", "size")
    ]
    cells: list[list[Cell | str]] = []
    for row in rows:
        amount = size if row["unit"] == "bytes" else count
        short = _is_short(row)
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
    text = table([f"mixture by {rows[0]['unit']}", *right], cells)
    if any(map(_is_short, rows)):
        text += "\nSome domains are planned below the asked share, because `max_epochs` limits their repeats."
    for step in funnel["steps"] if funnel else ():
        if apart := once_each(step):
            text += f"\nNot counted here: {apart}."
    return text


def _is_short(row: Mixed) -> bool:
    """Whether a domain that has documents is planned below its asked share."""
    return bool(row["documents"] and row["planned_share"] < row["asked_share"] * 0.999)
