"""Describes a mixture as asked, as planned and as written: one row per domain, in the manifest of a snapshot."""

from __future__ import annotations

import os

from corpusmill.transforms.manifest import FileEntry, Funnel, Mixed
from corpusmill.transforms.shards import read_shard


def mixture(dataset: str, tables: dict[str, list[FileEntry]], funnel: Funnel, step: str | None) -> list[Mixed]:
    """Rows of the side table `mixture` (sizes, asked_share, planned_share, epochs), with realised_documents,
    realised_size and realised_share from the funnel. Empty if nothing was mixed. step: name of the step that mixed."""
    rows = [
        row
        for file in tables.get("mixture", [])
        for batch in read_shard(os.path.join(dataset, file["path"]))
        for row in batch.to_pylist()
    ]
    details: dict[str, int] = next((s.get("details", {}) for s in funnel["steps"] if s["name"] == step), {})
    for row in rows:
        row["realised_documents"] = details.get(f"documents:{row['domain']}", 0)
        row["realised_size"] = details.get(f"{row['unit']}:{row['domain']}", 0)
    whole = sum(row["realised_size"] for row in rows)
    for row in rows:
        row["realised_share"] = row["realised_size"] / whole if whole else 0.0
    return rows
