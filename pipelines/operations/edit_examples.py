"""What the steps of a snapshot did to texts: a few documents of the sources before and after each step that edits.

Maps and filters are run again on a few documents. What a group cut (`lines`, `paragraphs`, `substring`) is seen by comparing
a document as it came to the group with the text that was published. Before `redact`, a text holds personal data: such a text
is shown after the step only.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.engine.chain import Chain
from corpusmill.pipelines.operations.examples import Text, read_sources, texts
from corpusmill.pipelines.operations.manifest_steps import NamedStep, masked, steps
from corpusmill.pipelines.recipe.model import Step
from corpusmill.transforms.base import Filter, Group, Map
from corpusmill.transforms.errors import CorpusmillError
from corpusmill.transforms.manifest import Manifest

ROWS = 400
"""Documents of each source that are tried."""
LONGEST = 20_000
"""Characters of a document that is shown; longer ones are passed over."""


@dataclass(frozen=True)
class Edit:
    """A document before and after a step. before: None where only the result may be shown."""

    step: str
    id: str
    before: str | None
    after: str


def edits(reader: Dataset, manifest: Manifest, each: int = 2) -> list[Edit]:
    """Up to `each` documents of every step that changed texts, by the funnel; none of a recipe with private sources."""
    counts = {s["name"]: s.get("details", {}) for s in manifest["funnel"]["steps"]}
    wanted = {name for name, details in counts.items() if details.get("edited")}
    if not wanted or any(s.get("private") for s in manifest["recipe"]["sources"]):
        return []
    found: list[Edit] = []
    cut: dict[str, dict[str, str]] = {}
    for source, batches in read_sources(reader, manifest):
        try:
            batch = next(batches, None)
            if batch is None:
                continue
            found += _of_batch(steps(reader, manifest), batch.slice(0, ROWS), source, wanted, each, found, cut)
        except (CorpusmillError, OSError, ValueError):
            continue  # a step that needs what is not here
        full = all(sum(e.step == name for e in found) >= each for name in wanted - set(cut))
        if full and all(len(texts) >= ROWS for texts in cut.values()):
            break
    found += _of_groups(reader, manifest, cut, each)
    order = list(counts)
    return sorted(_without_secrets(reader, manifest, found), key=lambda e: order.index(e.step))


def _of_batch(
    every: list[NamedStep],
    batch: pa.RecordBatch,
    source: str,
    wanted: set[str],
    each: int,
    known: list[Edit],
    cut: dict[str, dict[str, str]],
) -> list[Edit]:
    """Edits of single-document steps; texts as they come to the first group that edits go to `cut`."""
    found: list[Edit] = []
    for step in every:
        if isinstance(step.transform, Group) and step.name in wanted:
            waiting = cut.setdefault(step.name, {})
            pairs = zip(batch.column("id").to_pylist(), batch.column("text").to_pylist(), strict=True)
            waiting.update(
                {name: text for name, text in pairs if text and len(text) <= LONGEST and len(waiting) < ROWS}
            )
            break  # later steps see what the group left
        if not isinstance(step.transform, Map | Filter):
            if step.transform is None:
                break
            continue
        before = dict(zip(batch.column("id").to_pylist(), batch.column("text").to_pylist(), strict=True))
        batch = Chain([Step(name=step.name, transform=step.transform)], 0, source).run(batch)
        if step.name not in wanted:
            continue
        left = each - sum(e.step == step.name for e in (*known, *found))
        for name, after in zip(batch.column("id").to_pylist(), batch.column("text").to_pylist(), strict=True):
            old = before.get(name)
            if left > 0 and old is not None and after and old != after and len(old) <= LONGEST:
                found.append(Edit(step.name, name, old, after))
                left -= 1
    return found


def _of_groups(reader: Dataset, manifest: Manifest, cut: dict[str, dict[str, str]], each: int) -> list[Edit]:
    found = []
    for step, before in cut.items():
        published = texts(reader, manifest, before, 0)
        changed = [(n, t.text) for n, t in published.items() if t.text and t.text != before[n]]
        found += [Edit(step, name, before[name], after) for name, after in sorted(changed)[:each]]
    return found


def _without_secrets(reader: Dataset, manifest: Manifest, found: list[Edit]) -> list[Edit]:
    """The edits with personal data replaced, where the recipe redacts."""
    if not any(s["transform"].partition("@")[0] == "redact" for s in manifest["recipe"]["steps"]):
        return found
    raw = {
        f"{i}{side}": Text(t, "", 0) for i, e in enumerate(found) for side, t in (("a", e.before or ""), ("b", e.after))
    }
    safe = masked(reader, manifest, raw)
    shown = []
    for i, edit in enumerate(found):
        before, after = safe.get(f"{i}a"), safe.get(f"{i}b")
        if before is not None and after is not None:
            same = before.text == after.text  # the step replaced nothing but personal data
            shown.append(Edit(edit.step, edit.id, None if same else before.text, after.text))
    return shown
