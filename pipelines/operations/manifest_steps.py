"""The steps that a manifest names, made again without its author's code: only those of corpusmill itself."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations.examples import Text, base_folder
from corpusmill.pipelines.recipe.registry import built_in
from corpusmill.transforms.base import Transform
from corpusmill.transforms.errors import CorpusmillError
from corpusmill.transforms.manifest import Manifest
from corpusmill.transforms.random import Keyed


@dataclass(frozen=True)
class NamedStep:
    """A step of the recipe. transform: None for a step of the user's own, or one that this version cannot make."""

    name: str
    transform: Transform | None


def steps(reader: Dataset, manifest: Manifest) -> list[NamedStep]:
    """Every step of the recipe, in order."""
    base = base_folder(reader)
    found = []
    for entry in manifest["recipe"]["steps"]:
        made: Transform | None = None
        cls = built_in(entry["transform"].partition("@")[0])
        if cls is not None:
            try:
                made = cls.model_validate(entry["fields"]).resolved(base)
                made = made if not made.modules() else None
            except (CorpusmillError, ValueError):
                made = None
        found.append(NamedStep(entry["name"], made))
    return found


def masked(reader: Dataset, manifest: Manifest, texts: dict[str, Text]) -> dict[str, Text]:
    """Texts as they may be shown: where the recipe redacts, personal data is replaced by tags in texts from the sources, too.

    Texts from the snapshot have passed the step already, and are left as they are. A text that cannot be redacted here,
    because names need Presidio, is left out.
    """
    redacts = [s for s in manifest["recipe"]["steps"] if s["transform"].partition("@")[0] == "redact"]
    shards = {f["path"] for f in manifest["files"]}
    raw = {name: text for name, text in texts.items() if text.file not in shards}
    if not redacts or not raw:
        return texts
    values = pa.array([t.text for t in raw.values()], pa.string())
    batch = pa.record_batch({"id": pa.array(list(raw), pa.string()), "text": values, "source": values})
    try:
        for entry in redacts:
            cls = built_in("redact")
            fields = {**entry["fields"], "replace_by": "tag", "columns": ("text",), "count": False}
            if cls is None:
                continue
            batch = cls.model_validate(fields).map(batch, Keyed())  # type: ignore[attr-defined]
    except (CorpusmillError, ValueError):
        return {name: text for name, text in texts.items() if name not in raw}
    clean = zip(raw.items(), batch.column("text").to_pylist(), strict=True)
    return texts | {name: Text(text or "", found.file, found.row) for (name, found), text in clean}
