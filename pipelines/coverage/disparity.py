"""Which groups the steps of a snapshot's recipe drop more often than others: its sources are read again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations import examples
from corpusmill.privacy.certification import private_sources
from corpusmill.transforms.embed.sampling import chance
from corpusmill.transforms.manifest import Manifest
from corpusmill.transforms.people.disparity import Disparity, fates, judged
from corpusmill.transforms.people.lexicon import Lexicon


@dataclass(frozen=True)
class Dropped:
    """documents: of the sources that were looked at; lost: dropped documents of the sample that the sources lack now."""

    documents: int
    lost: int


def disparities(
    dataset: Dataset, manifest: Manifest, lexicons: Sequence[Lexicon], sample: int
) -> tuple[Dropped, list[Disparity]]:
    """Every test, the smallest p first; what was read for them."""
    read = (batch for _, batches in examples.read_sources(dataset, manifest) for batch in batches)
    bound = chance(max(1, manifest["funnel"]["rows_in"]), sample)
    gone = examples.table(dataset, manifest, "dropped")
    table, lost = fates(gone, read, lexicons, set(private_sources(manifest)), bound)
    order = [s["name"] for s in manifest["funnel"]["steps"]]
    return Dropped(len(table.fates), lost), judged(table, order)
