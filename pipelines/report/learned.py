"""What the report says of learned scores: percentiles of each group, and how often a scorer is right where it is sure."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.wording import count, printable
from corpusmill.transforms.errors import CorpusmillError
from corpusmill.transforms.manifest import Manifest
from corpusmill.transforms.select._linear import open_scorer
from corpusmill.transforms.shards import read_shard

SHOWN = (5, 25, 50, 75, 95)
GROUPS = 40
"""Groups that are shown of a step, the largest first."""


@dataclass
class Learned:
    """groups: cells of a row for each group of documents; reliability: rows of (scorer, mean score, share, documents)."""

    groups: list[list[str]] = field(default_factory=list)
    reliability: list[list[str]] = field(default_factory=list)


def look(dataset: Dataset, manifest: Manifest) -> Learned:
    """Read the side tables of the step `quality`, and the cards of the scorers that its recipe names."""
    groups = sorted(_rows(dataset, manifest, "quality"), key=lambda r: (-r["documents"], str(r["group"])))
    learned = Learned([_cells(row) for row in groups[:GROUPS]])
    for row in _rows(dataset, manifest, "scorer"):
        learned.reliability += _reliability("learnt in the run", json.loads(row["card"]))
    for path in _scorers(manifest):
        try:
            learned.reliability += _reliability(os.path.basename(path), open_scorer(path).card)
        except (CorpusmillError, OSError):
            continue  # it was moved, or is no scorer of ours
    return learned


def _rows(dataset: Dataset, manifest: Manifest, name: str) -> list[dict[str, Any]]:
    files = manifest["tables"].get(name, [])
    return [row for f in files for b in read_shard(os.path.join(dataset.path, f["path"])) for row in b.to_pylist()]


def _cells(row: dict[str, Any]) -> list[str]:
    limit = "" if row["limit"] is None else f"{row['limit']:.3g}"
    group = f"{row['column']}: {row['group']}" if row["group"] else row["column"]
    return [
        printable(group),
        count(row["documents"]),
        count(row["kept"]),
        limit,
        *(f"{row[f'p{p}']:.3g}" for p in SHOWN),
    ]


def _scorers(manifest: Manifest) -> list[str]:
    """Files that steps `quality` name as their models."""
    models = [s["fields"].get("model") for s in manifest["recipe"]["steps"] if s["transform"].startswith("quality")]
    names = [n for m in models for n in ([m] if isinstance(m, str) else m or [])]
    return [n for n in names if n.endswith(".safetensors")]


def _reliability(name: str, card: dict[str, Any]) -> list[list[str]]:
    bins = (card.get("held_out") or {}).get("reliability") or []
    return [[printable(name), f"{mean:.3f}", f"{part:.3f}", count(int(n))] for mean, part, n in bins]
