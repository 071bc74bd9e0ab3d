"""One HTML page about a snapshot: `corpusmill report`, and `corpusmill show --html`.

The page is one file. It has no script and refers to nothing outside; its Content-Security-Policy allows nothing but its own
style, by the style's hash. All text of documents is escaped, and control and bidi characters in it are replaced. Texts and ids
of sources that the recipe marks `private` do not go into it.
"""

from __future__ import annotations

import base64
import hashlib
import os
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from corpusmill.pipelines.dataset.packed import packing
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations.examples import Text
from corpusmill.pipelines.operations.private_statistics import releases
from corpusmill.pipelines.recipe.registry import built_in
from corpusmill.pipelines.report import charts, spans, statistics
from corpusmill.pipelines.report import funnel as funnels
from corpusmill.pipelines.report.collect import Content, collect
from corpusmill.pipelines.report.document import rule as rule_of
from corpusmill.pipelines.report.document import shown
from corpusmill.pipelines.report.look import side_by_side
from corpusmill.pipelines.report.snapshot import notes
from corpusmill.pipelines.wording import clean, count, printable, share, size, some
from corpusmill.transforms import storage
from corpusmill.transforms.errors import CorpusmillError, DatasetError
from corpusmill.transforms.manifest import Funnel, Manifest, Mixed

WIDTH = 240  # of a whole bar
BYTES = 2_000_000
"""Largest page. Texts are cut shorter until it fits."""
CUTS = (700, 300, 120, 40)
"""Characters of a text that are shown, tried in this order."""
LINES = 40
"""Lines of a pair that are shown."""


def page(dataset: Dataset, manifest: Manifest) -> str:
    """The page of one snapshot, from its manifest and the files that it names."""
    content = collect(dataset, manifest)
    history = _history(dataset)
    made = ""
    for characters in CUTS:
        made = _render(dataset, manifest, content, history, characters)
        if len(made.encode()) <= BYTES:
            break
    return made


def write(dataset: Dataset, number: int | None, path: str) -> int:
    """Write the page of a snapshot to a file; returns its size in bytes.

    Raises:
        DatasetError: the file cannot be written.
    """
    data = page(dataset, dataset.manifest(number)).encode()
    try:
        storage.write_atomic(os.path.abspath(path), data, fsync=False)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written: {error.strerror}; name another file") from None
    return len(data)


def _render(
    dataset: Dataset, manifest: Manifest, content: Content, history: list[dict[str, Any]], characters: int
) -> str:
    folder = files("corpusmill.pipelines.report")
    style = folder.joinpath("page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"count": count, "share": lambda part: share(part, 1), "safe_line": printable}
    funnel = manifest["funnel"]
    return environment.from_string(folder.joinpath("page.html").read_text(encoding="utf-8")).render(
        manifest=manifest,
        name=printable(str(manifest["name"])),
        style=Markup(style),
        style_hash=Markup(f"sha256-{digest}"),
        facts=_facts(manifest),
        chain=_chain(manifest),
        total=funnels.total(funnel),
        advice=funnels.advice(funnel),
        rows=list(_rows(funnel)),
        rules=[_rule(rule, content.texts, characters) for rule in content.rules],
        bins=charts.BINS,
        height=charts.HEIGHT,
        dropped=_dropped(content, manifest, characters),
        pairs=[pair for row in content.pairs if (pair := _pair(row, content.texts, characters))],
        sources=charts.shares({s["name"]: s["rows"] - s.get("quarantined", 0) for s in funnel["sources"]}),
        languages=charts.shares(content.languages),
        lengths=content.lengths,
        counted=content.counted,
        mixture=_mixture(manifest.get("mixture") or []),
        quarantine=[{k: _cut(str(v), 200) for k, v in row.items()} for row in content.quarantine],
        kept=[{**row, "text": _cut(row["text"] or "", characters)} for row in content.kept],
        history=history,
        line=charts.line([h["documents"] for h in history]) if len(history) > 1 else "",
        budget=_budget(dataset),
        private=any(s.get("private") for s in manifest["recipe"]["sources"]),
        exact=statistics.EXACT,
        statistics=[(statistics.head(r), statistics.cells(r)) for r in releases(dataset.path, manifest["number"])],
    )


def _cut(text: str, characters: int) -> str:
    return clean(_unix(text if len(text) <= characters else text[:characters] + " …"))


def _unix(text: str) -> str:
    """Line breaks of Windows as line feeds."""
    return text.replace("\r\n", "\n")


def _facts(manifest: Manifest) -> list[tuple[str, str]]:
    packed = packing(manifest)
    amounts = [("documents", count(manifest["documents"])), ("text", size(manifest["bytes"]))]
    if packed:
        amounts = [("rows", count(manifest["documents"])), ("tokens", count(packed["tokens"]))]
        padding = share(packed["padding"], packed["tokens"] + packed["padding"])
        amounts += [("documents in them", count(packed["packed"])), ("padding", padding)]
    return [
        *amounts,
        ("shards", count(len(manifest["files"]))),
        ("created", manifest.get("created") or "?"),
        ("recipe", str(manifest.get("recipe_digest", ""))[:12]),
    ]


def _chain(manifest: Manifest) -> list[dict[str, Any]]:
    """The graph of the recipe: sources, steps with their fields and what leaves them, output."""
    steps = {s["name"]: s for s in manifest["funnel"]["steps"]}
    chain: list[dict[str, Any]] = [
        {
            "kind": "source",
            "name": printable(s["name"]),
            "fields": printable(str(s.get("path") or s.get("format") or "")),
            "out": next((count(f["rows"]) for f in manifest["funnel"]["sources"] if f["name"] == s["name"]), ""),
        }
        for s in manifest["recipe"]["sources"]
    ]
    for entry in manifest["recipe"]["steps"]:
        fields = _own_fields(entry)
        text = ", ".join(f"{k}: {shown(v)}" for k, v in list(fields.items())[:8]) + (", …" if len(fields) > 8 else "")
        out = steps[entry["name"]]["rows_out"] if entry["name"] in steps else None
        row = {"kind": "step", "name": printable(entry["name"]), "fields": _cut(text, 300)}
        chain.append(row | {"out": "" if out is None else count(out)})
    return chain


def _own_fields(entry: dict[str, Any]) -> dict[str, Any]:
    """The fields of a step that differ from their defaults; all of them for a step of the user's own."""
    cls = built_in(entry["transform"].partition("@")[0])
    defaults = cls.model_fields if cls else {}
    plain = {n: f.get_default(call_default_factory=True) for n, f in defaults.items() if not f.is_required()}
    return {k: v for k, v in entry["fields"].items() if k not in plain or shown(v) != shown(plain[k])}


def _rows(funnel: Funnel) -> list[dict[str, Any]]:
    top = max([funnel["rows_in"], *(s["rows_out"] for s in funnel["steps"]), 1])
    rows = []
    for source in funnel["sources"]:
        bad = source.get("quarantined", 0)
        row = _row(
            f"source {source['name']}", source["rows"], bad, source["rows"] - bad, source.get("bytes"), False, top
        )
        row["left_out"] = [
            f"left out: {some(left['number'], kind)}, such as {printable(left['example'])}"
            for kind, left in source.get("left_out", {}).items()
        ]
        rows.append(row)
    for step in funnel["steps"]:
        lost = funnels.losses(step)
        heavy = funnels.is_heavy(step)
        row = _row(step["name"], step["rows_in"], lost, step["rows_out"], step.get("bytes_out"), heavy, top)
        row["reasons"] = [
            {
                "name": printable(reason),
                "rows": count(n),
                "share": f"-{share(n, step['rows_in'])}".replace("-<", "<"),
                "width": f"{max(1.0, WIDTH * n / top):.1f}",
            }
            for reason, n in sorted(step["dropped"].items(), key=lambda item: (-item[1], item[0]))
            if step.get("kind") != "terminal" or reason != funnels.USED
        ]
        rows.append(row)
    return rows


def _row(name: str, into: int, lost: int, out: int, text: int | None, heavy: bool, top: int) -> dict[str, Any]:
    cells = {"rows_in": count(into), "lost": count(lost) if lost else "", "rows_out": count(out), "text": size(text)}
    bars = {"was": f"{WIDTH * into / top:.1f}", "left": f"{WIDTH * out / top:.1f}"}
    lists: dict[str, Any] = {"reasons": [], "left_out": []}
    return {"name": printable(name), "kept": share(into - lost, into), "heavy": heavy, **lists, **cells, **bars}


def _rule(rule: Any, texts: dict[str, Text], characters: int) -> dict[str, Any]:
    """A rule with its histogram and the documents nearest to its threshold."""

    def listed(side: list[tuple[str, float]]) -> list[dict[str, Any]]:
        return [
            {"id": printable(name), "value": f"{value:.4g}", "pieces": _pieces(rule.rule, texts.get(name), characters)}
            for name, value in side
        ]

    sides = (("just kept", listed(rule.kept)), ("just dropped", listed(rule.dropped)))
    return {
        "step": rule.step,
        "rule": rule.rule,
        "limit": f"{rule.limit:g}",
        "histogram": rule.histogram,
        "sides": sides,
    }


def _pieces(reason: str, found: Text | None, characters: int) -> list[tuple[str, bool]]:
    """A text in pieces (text, marked); it begins shortly before its first mark."""
    if found is None:
        return []
    text = clean(_unix(found.text[: 100 * characters]))
    marked = spans.spans(reason, text)
    begin = max(0, marked[0][0] - characters // 3) if marked and marked[0][0] > characters // 2 else 0
    cut = text[begin : begin + characters]
    out = spans.pieces(reason, cut)
    more = begin + characters < len(found.text)
    return [*([("… ", False)] if begin else []), *out, *([(" …", False)] if more else [])]


def _dropped(content: Content, manifest: Manifest, characters: int) -> list[dict[str, Any]]:
    """Dropped documents by step and reason."""
    totals = {s["name"]: s["dropped"] for s in manifest["funnel"]["steps"]}
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in content.dropped:
        value = row.get("value")
        known = "" if value is None or value != value else f"{value:.4g}"
        entry: dict[str, Any] = {"id": printable(row["id"]), "source": printable(row["source"]), "value": known}
        entry |= {"survivor": printable(row["survivor"]) if row.get("survivor") else ""}
        entry |= {"rule": "; ".join(rule_of(manifest, row))}
        entry |= {"pieces": _pieces(row["reason"], content.texts.get(row["id"]), characters)}
        groups.setdefault((row["step"], row["reason"]), []).append(entry)
    return [
        {
            "step": step,
            "reason": printable(reason),
            "total": count(totals.get(step, {}).get(reason)),
            "documents": documents,
        }
        for (step, reason), documents in groups.items()
    ]


def _pair(row: dict[str, Any], texts: dict[str, Text], characters: int) -> dict[str, Any] | None:
    """Two near-duplicates, line beside line, without lines that are equal far from a change."""
    a, b = texts.get(row["id_a"]), texts.get(row["id_b"])
    if a is None or b is None:
        return None
    lines = list(side_by_side(clean(_unix(a.text[: 40 * characters])), clean(_unix(b.text[: 40 * characters]))))
    changed = [any(bit.changed for bit in (*left, *right)) for left, right in lines]
    near = [i for i in range(len(lines)) if any(changed[max(0, i - 1) : i + 2])][:LINES]
    cut = [
        [[(bit.text[:characters], bit.changed) for bit in side] for side in lines[i]]
        for i in near or range(min(3, len(lines)))
    ]
    jaccard = "" if row["jaccard"] is None else f"{row['jaccard']:.3f}"
    survivor = {row["id_a"]: "left", row["id_b"]: "right"}.get(row["survivor"], "")
    ids = {"a": printable(row["id_a"]), "b": printable(row["id_b"])}
    return {**ids, "jaccard": jaccard, "survivor": survivor, "lines": cut, "more": len(lines) - len(cut)}


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
        return {"error": _cut(str(error), 300)}
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
        "runs": [(when[:16], _cut(str(what), 200)) for when, what, _ in state.runs],
    }
