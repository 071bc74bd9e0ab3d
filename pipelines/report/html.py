"""One HTML page about a snapshot: `corpusmill report`, and `corpusmill show --html`.

The page is one file. It has no script and refers to nothing outside; its Content-Security-Policy allows nothing but its own
style, by the style's hash. All text of documents is escaped, and control and bidi characters in it are replaced. Texts and ids
of sources that the recipe marks `private` do not go into it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from corpusmill.pipelines.dataset.apart import once_each
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations.private_statistics import releases
from corpusmill.pipelines.operations.training_runs import TrainingRun, of_snapshot
from corpusmill.pipelines.report import charts, learned, page_examples, page_funnel, statistics
from corpusmill.pipelines.report import funnel as funnels
from corpusmill.pipelines.report.collect import Content, collect
from corpusmill.pipelines.report.page_examples import cut
from corpusmill.pipelines.report.snapshot import notes
from corpusmill.pipelines.report.template import render, write_text
from corpusmill.pipelines.report.topics import Topics, look
from corpusmill.pipelines.wording import count, printable, share, size
from corpusmill.transforms.errors import CorpusmillError
from corpusmill.transforms.manifest import Manifest, Mixed

BYTES = 2_000_000
"""Largest page. Texts are cut shorter until it fits."""
CUTS = (700, 300, 120, 40)
"""Characters of a text that are shown, tried in this order."""


def page(dataset: Dataset, manifest: Manifest, models: Sequence[str] = ()) -> str:
    """The page of one snapshot, from its manifest and the files that it names. models: folders of runs to show curves of."""
    content = collect(dataset, manifest)
    runs = of_snapshot(dataset, manifest, models)
    history, topics, scores = _history(dataset), look(dataset, manifest), learned.look(dataset, manifest)
    made = ""
    for characters in CUTS:
        made = _render(dataset, manifest, content, topics, scores, runs, history, characters)
        if len(made.encode()) <= BYTES:
            break
    return made


def write(dataset: Dataset, number: int | None, path: str, models: Sequence[str] = ()) -> int:
    """Write the page of a snapshot to a file; returns its size in bytes.

    Raises:
        DatasetError: the file cannot be written.
    """
    return write_text(page(dataset, dataset.manifest(number), models), path)


def _render(
    dataset: Dataset,
    manifest: Manifest,
    content: Content,
    topics: Topics,
    scores: learned.Learned,
    runs: list[TrainingRun],
    history: list[dict[str, Any]],
    characters: int,
) -> str:
    funnel = manifest["funnel"]
    shown = {(r["step"], r["reason"]) for r in content.dropped}
    return render(
        "page.html",
        manifest=manifest,
        name=printable(str(manifest["name"])),
        facts=page_funnel.facts(manifest),
        chain=page_funnel.chain(manifest),
        total=funnels.total(funnel),
        advice=funnels.advice(funnel),
        rows=page_funnel.funnel_rows(manifest, shown),
        costly=page_funnel.costly(manifest, shown),
        rules=[page_examples.rule(rule, content.texts, characters) for rule in content.rules],
        bins=charts.BINS,
        height=charts.HEIGHT,
        dropped=page_examples.dropped(content, manifest, characters),
        pairs=[pair for row in content.pairs if (pair := page_examples.pair(row, content.texts, characters))],
        edits=page_examples.edits(content.edits, manifest, characters),
        packed=page_examples.packed(content.packed, characters),
        packed_problem=printable(content.packed_problem),
        curves=[_curve(run) for run in runs],
        sources=charts.shares({s["name"]: s["rows"] - s.get("quarantined", 0) for s in funnel["sources"]}),
        groups=[(title, charts.shares(counts)) for title, counts in content.groups.items()],
        lengths=content.lengths,
        counted=content.counted,
        **topics.sections(characters),
        mixture=_mixture(manifest.get("mixture") or []),
        beside=[apart for step in funnel["steps"] if (apart := once_each(step))],
        learned=scores,
        percentiles=learned.SHOWN,
        quarantine=[{k: cut(str(v), 200) for k, v in row.items()} for row in content.quarantine],
        kept=[{**row, "text": cut(row["text"] or "", characters)} for row in content.kept],
        history=history,
        line=charts.line([h["documents"] for h in history]) if len(history) > 1 else "",
        budget=_budget(dataset),
        private=any(s.get("private") for s in manifest["recipe"]["sources"]),
        exact=statistics.EXACT,
        statistics=[(statistics.head(r), statistics.cells(r)) for r in releases(dataset.path, manifest["number"])],
    )


def _mixture(rows: list[Mixed]) -> list[list[str]]:
    return [
        [
            printable(str(r["domain"])),
            count(r["documents"]),
            f"{r['epochs']:.3g}",
            share(r["asked_share"], 1),
            share(r["planned_share"], 1),
            share(r["realised_share"], 1),
            count(r["realised_documents"]),
        ]
        for r in rows
    ]


def _history(dataset: Dataset) -> list[dict[str, Any]]:
    """Every snapshot with its size and what is special about it."""
    manifests = [dataset.manifest(n) for n in dataset.numbers]
    return [
        {
            "number": m["number"],
            "created": m["created"] or "?",
            "documents": m["documents"],
            "text": size(m["bytes"]),
            "dropped": count(sum(funnels.losses(s) for s in m["funnel"]["steps"])),
            "notes": ", ".join(note),
        }
        for m, note in zip(manifests, notes(manifests), strict=True)
    ]


def _budget(dataset: Dataset) -> dict[str, Any] | None:
    """Epsilon spent and left by the ledger of the dataset, if it has one."""
    path = os.path.join(dataset.path, "privacy.jsonl")
    if not os.path.exists(path):
        return None
    from corpusmill.privacy import statement
    from corpusmill.privacy.ledger import Ledger

    try:
        state = statement.status(Ledger(path))
    except (CorpusmillError, OSError, ValueError) as error:
        return {"error": cut(str(error), 300)}
    budget = state.budget
    return {
        "error": "",
        "population": printable(str(budget["population"])),
        "unit": printable(str(budget["unit"])),
        "epsilon": f"{budget['epsilon']:g}",
        "delta": f"{budget['delta']:g}",
        "spent": f"{state.spent:.3f}",
        "left": f"{state.left:.3f}",
        "width": f"{min(100.0, 100 * state.spent / budget['epsilon']):.1f}",
        "runs": [(when[:16], cut(str(what), 200)) for when, what, _ in state.runs],
    }


def _curve(run: TrainingRun) -> dict[str, Any]:
    """The losses of a run as lines."""
    drawn = charts.curves({"training": run.loss, "validation": run.validation})
    last = {name: series[-1] for name, series in (("training", run.loss), ("validation", run.validation)) if series}
    sentence = "; ".join(f"{name} loss {value:.4g} at step {step:,}" for name, (step, value) in last.items())
    return {"path": printable(run.path), "drawn": drawn, "about": sentence}
