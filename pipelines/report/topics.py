"""What the report says of topics and of people: the sections of `corpusmill map` and `corpusmill bias`, of a smaller sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from corpusmill.pipelines.coverage.bias import Bias, measure
from corpusmill.pipelines.coverage.map import CorpusMap, make_map
from corpusmill.pipelines.coverage.sample import part_of
from corpusmill.pipelines.dataset.packed import is_packed
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.report.coverage_page import bias_content, map_content
from corpusmill.pipelines.wording import some
from corpusmill.transforms.errors import CorpusmillError
from corpusmill.transforms.manifest import Manifest
from corpusmill.transforms.people.lexicon import load

SAMPLE, CLUSTERS, SHOWN = 5_000, 48, 24
"""Documents that are looked at, clusters that are learned, and those that are listed."""
READ = 64 << 20
"""Bytes of text that are read of the shards, and of the sources for what filters drop."""


@dataclass(frozen=True)
class Topics:
    """The map and the figures on people of a snapshot, None where there are none; filters: whether what they drop was looked at;
    part: a clause about the shards that were read, "" for all of them."""

    map: CorpusMap | None
    bias: Bias | None
    filters: bool
    part: str

    def sections(self, characters: int) -> dict[str, Any]:
        """The variables of both sections for the page. characters: of an example."""
        more = f"{self.part}, are read; `corpusmill map` reads all." if self.part else ""
        return {
            "map": map_content(self.map, SHOWN, 1, min(characters, 300), more) if self.map else None,
            "bias": bias_content(self.bias, self.filters, f"of {self.part}" if self.part else "")
            if self.bias
            else None,
        }


def look(dataset: Dataset, manifest: Manifest) -> Topics:
    """Learn the topics of a snapshot, and count who is mentioned."""
    if is_packed(manifest["schema"]):
        return Topics(None, None, False, "")
    sources = sum(s["bytes"] for s in manifest["funnel"]["sources"])
    filters = bool(manifest["tables"].get("dropped")) and sources <= READ
    read, files = len(part_of(manifest, READ)["files"]), len(manifest["files"])
    part = "" if read == files else f"{read:,} of {some(files, 'shard')}, evenly spread"
    found: CorpusMap | None = None
    people: Bias | None = None
    try:
        found = make_map(dataset, manifest["number"], None, CLUSTERS, SAMPLE, READ, 0)
        people = measure(dataset, manifest["number"], None, load(), SAMPLE, filters, READ)
    except (CorpusmillError, OSError):
        pass  # no document, none with words, or none that may be shown; `verify` names damaged files
    return Topics(found, people if people and any(m.here.hits for m in people.mentions) else None, filters, part)
