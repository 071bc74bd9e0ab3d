"""A snapshot's funnel and examples as one HTML page: no script, no reference to anything outside, text escaped.

The page's Content-Security-Policy allows nothing but its own style, by the style's hash. Texts and ids of sources that the
recipe marks `private` do not go into it.
"""

from __future__ import annotations

import base64
import hashlib
import os
from importlib.resources import files
from typing import Any

import pyarrow as pa
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from corpusmill.pipelines.dataset.packed import is_packed
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations.private_statistics import releases
from corpusmill.pipelines.report import funnel as funnels
from corpusmill.pipelines.report import statistics
from corpusmill.pipelines.wording import count, share, size
from corpusmill.transforms.manifest import Funnel, Manifest
from corpusmill.transforms.shards import read_shard

WIDTH = 240  # pixels of a whole bar
EXAMPLES = 3  # of each reason
KEPT = 6
CHARACTERS = 600  # of an example's text

STYLE = """
:root { color-scheme: light dark; --line: #8884; --bar: #2a7de1; --loss: #c0392b; --dim: #777; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 small, h3 small { color: var(--dim); font-weight: normal; font-size: .7em; }
dl { display: flex; flex-wrap: wrap; gap: .5rem 2rem; } dt { color: var(--dim); font-size: .85em; } dd { margin: 0; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; font-weight: 600; }
td, th { padding: .25rem .6rem; border-bottom: 1px solid var(--line); vertical-align: middle; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.reason th, .reason td { color: var(--dim); font-weight: normal; border: 0; padding-top: 0; padding-bottom: .1rem; }
.reason th { padding-left: 2rem; } .loss, .loss th, .loss td { color: var(--loss); }
.was { fill: var(--line); } .left { fill: var(--bar); } .loss .left, .cut { fill: var(--loss); }
.id { font-family: ui-monospace, monospace; font-size: .85em; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border-left: 3px solid var(--line); padding-left: .8rem; margin: 0; }
h3 { font-size: .95em; margin: 1.2rem 0 .3rem; overflow-wrap: anywhere; }
"""


def page(dataset: Dataset, manifest: Manifest) -> str:
    """The page of one snapshot, from its manifest and the files that it names."""
    private = {s["name"] for s in manifest.get("recipe", {}).get("sources", []) if s.get("private")}
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    template = files("corpusmill.pipelines.report").joinpath("page.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(template).render(
        manifest=manifest,
        style=Markup(STYLE),
        style_hash=Markup(f"sha256-{digest}"),
        facts=[
            ("documents", count(manifest["documents"])),
            ("text", size(manifest["bytes"])),
            ("shards", count(len(manifest["files"]))),
            ("created", manifest.get("created") or "?"),
            ("recipe", str(manifest.get("recipe_digest", ""))[:12]),
        ],
        total=funnels.total(manifest["funnel"]),
        advice=funnels.advice(manifest["funnel"]),
        rows=list(_rows(manifest["funnel"])),
        dropped=_dropped(dataset, manifest, private),
        kept=_kept(dataset, manifest, private),
        private=bool(private),
        exact=statistics.EXACT,
        statistics=[(statistics.head(r), statistics.cells(r)) for r in releases(dataset.path, manifest["number"])],
    )


def _rows(funnel: Funnel) -> list[dict[str, Any]]:
    top = max([funnel["rows_in"], *(s["rows_out"] for s in funnel["steps"]), 1])
    rows = []
    for source in funnel["sources"]:
        bad = source.get("quarantined", 0)
        rows.append(
            _row(f"source {source['name']}", source["rows"], bad, source["rows"] - bad, source.get("bytes"), False, top)
        )
    for step in funnel["steps"]:
        lost = funnels.losses(step)
        heavy = funnels.is_heavy(step)
        row = _row(step["name"], step["rows_in"], lost, step["rows_out"], step.get("bytes_out"), heavy, top)
        row["reasons"] = [
            {
                "name": reason,
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
    shown = {"rows_in": count(into), "lost": count(lost) if lost else "", "rows_out": count(out), "text": size(text)}
    bars = {"was": f"{WIDTH * into / top:.1f}", "left": f"{WIDTH * out / top:.1f}"}
    return {"name": name, "kept": share(into - lost, into), "heavy": heavy, "reasons": [], **shown, **bars}


def _dropped(dataset: Dataset, manifest: Manifest, private: set[str]) -> list[dict[str, Any]]:
    """A few dropped documents of each reason, in the order of the steps."""
    order = {s["name"]: i for i, s in enumerate(manifest["funnel"]["steps"])}
    wanted = {(s["name"], r): min(n, EXAMPLES) for s in manifest["funnel"]["steps"] for r, n in s["dropped"].items()}
    found: list[dict[str, Any]] = []
    for file in manifest.get("tables", {}).get("dropped", []):
        for batch in read_shard(os.path.join(dataset.path, file["path"])):
            for row in _firsts(batch, wanted, private):
                value = row.get("value")
                found.append({**row, "value": "" if value is None or value != value else f"{value:.4g}"})
        if not any(wanted.values()):
            break
    return sorted(found, key=lambda d: (order.get(d["step"], len(order)), d["reason"], d["id"]))


def _firsts(batch: pa.RecordBatch, wanted: dict[tuple[str, str], int], private: set[str]) -> list[dict[str, Any]]:
    """The rows of `batch` that are still wanted; counts them off."""
    taken = []
    columns = (batch.column(name).to_pylist() for name in ("step", "reason", "source"))
    for i, (step, reason, source) in enumerate(zip(*columns)):
        key = (step, reason)
        if wanted.get(key) and source not in private:
            wanted[key] -= 1
            taken += batch.slice(i, 1).to_pylist()
    return taken


def _kept(dataset: Dataset, manifest: Manifest, private: set[str]) -> list[dict[str, str]]:
    """The first documents of evenly spread shards, without those of private sources."""
    shards = [] if is_packed(manifest.get("schema") or []) else manifest["files"]
    picked = [shards[i * len(shards) // min(KEPT, len(shards))] for i in range(min(KEPT, len(shards)))]
    each = -(-KEPT // max(1, len(picked)))
    found: list[dict[str, str]] = []
    for file in picked:
        batch = next(iter(read_shard(os.path.join(dataset.path, file["path"]), ["id", "source", "text"])), None)
        if batch is None:
            continue
        for row in batch.slice(0, each).to_pylist():
            text = row["text"] if len(row["text"]) <= CHARACTERS else row["text"][:CHARACTERS] + " …"
            if row["source"] not in private:
                found.append({"id": row["id"], "source": row["source"], "text": text})
    return found[:KEPT]
