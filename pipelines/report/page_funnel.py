"""The parts of the HTML report that come from the manifest alone: facts, the recipe's graph, the funnel, what costs most."""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.dataset.apart import once_each
from corpusmill.pipelines.dataset.packed import packing
from corpusmill.pipelines.recipe.registry import built_in
from corpusmill.pipelines.report import funnel as funnels
from corpusmill.pipelines.report.document import shown
from corpusmill.pipelines.report.page_examples import anchor, cut
from corpusmill.pipelines.wording import count, printable, share, size, some
from corpusmill.transforms.manifest import Manifest

WIDTH = 240  # of a whole bar
COSTLY = 6
"""Rules that are listed as those that cost most."""


def facts(manifest: Manifest) -> list[tuple[str, str]]:
    """The size of a snapshot and when it was made."""
    packed = packing(manifest)
    amounts = [("documents", count(manifest["documents"])), ("text", size(manifest["bytes"]))]
    if packed:
        amounts = [("rows", count(manifest["documents"])), ("tokens", count(packed["tokens"]))]
        padding = share(packed["padding"], packed["tokens"] + packed["padding"])
        amounts += [("documents in them", count(packed["packed"])), ("padding", padding)]
    return [
        *amounts,
        ("shards", count(len(manifest["files"]))),
        ("created", (manifest.get("created") or "?")[:16].replace("T", " ")),
        ("recipe", str(manifest.get("recipe_digest", ""))[:12]),
    ]


def chain(manifest: Manifest) -> list[dict[str, Any]]:
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
        row = {"kind": "step", "name": printable(entry["name"]), "fields": cut(text, 300)}
        chain.append(row | {"out": "" if out is None else count(out)})
    return chain


def costly(manifest: Manifest, shown: set[tuple[str, str]]) -> list[dict[str, str]]:
    """The rules that drop most documents, with their share of all that were read."""
    funnel = manifest["funnel"]
    found = [
        (n, s["name"], reason)
        for s in funnel["steps"]
        for reason, n in s["dropped"].items()
        if n and not (s["kind"] == "terminal" and reason == funnels.USED)
    ]
    return [
        {
            "name": f"{printable(step)}: {printable(reason)}",
            "rows": count(n),
            "share": share(n, funnel["rows_in"]),
            "width": f"{max(1.0, 100 * n / max(1, funnel['rows_in'])):.1f}",
            "anchor": anchor(step, reason, manifest) if (step, reason) in shown else "",
        }
        for n, step, reason in sorted(found, key=lambda f: (-f[0], f[1], f[2]))[:COSTLY]
    ]


def _own_fields(entry: dict[str, Any]) -> dict[str, Any]:
    """The fields of a step that differ from their defaults; all of them for a step of the user's own."""
    cls = built_in(entry["transform"].partition("@")[0])
    defaults = cls.model_fields if cls else {}
    plain = {n: f.get_default(call_default_factory=True) for n, f in defaults.items() if not f.is_required()}
    plain["keep_scores"] = entry["fields"].get("keep_scores")  # changes no document
    return {k: v for k, v in entry["fields"].items() if k not in plain or shown(v) != shown(plain[k])}


def funnel_rows(manifest: Manifest, shown: set[tuple[str, str]]) -> list[dict[str, Any]]:
    """The funnel as rows of the table. shown: (step, rule) whose dropped documents the page shows."""
    funnel = manifest["funnel"]
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
        row["edited"] = funnels.edited(step)
        row["apart"] = once_each(step)
        row["reasons"] = [
            {
                "name": printable(reason),
                "anchor": anchor(step["name"], reason, manifest) if (step["name"], reason) in shown else "",
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
    return {
        "name": printable(name),
        "kept": share(into - lost, into),
        "heavy": heavy,
        "edited": "",
        "apart": "",
        "left_out": [],
        "reasons": [],
        **cells,
        **bars,
    }
