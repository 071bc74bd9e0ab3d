"""Collects what the HTML report shows of a snapshot. Texts and ids of sources that the recipe marks `private` are left out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.dataset.packed import is_packed
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations import edit_examples, examples, packed_examples, what_if
from corpusmill.pipelines.operations.edit_examples import Edit
from corpusmill.pipelines.operations.manifest_steps import masked
from corpusmill.pipelines.operations.packed_examples import Row
from corpusmill.pipelines.report import charts
from corpusmill.transforms.errors import CorpusmillError
from corpusmill.transforms.manifest import Manifest
from corpusmill.transforms.shards import read_shard, shard_schema

EACH = 3
"""Dropped documents of each reason."""
PAIRS = 8
NEAR = 2
"""Documents on each side of a threshold."""
RULES = 16
KEPT = 6
SHARDS = 24
"""Shards, evenly spread, whose documents are counted by language and length."""
COLUMNS = ("id", "source", "text", "lang", "license", "licence", "domain", "host", "url")
SCORES = 2_000_000
"""Rows of a table of scores that are looked at."""


@dataclass
class Rule:
    """A rule of a filter: its histogram, and ids of documents just kept and just dropped."""

    step: str
    rule: str
    limit: float | None
    histogram: charts.Histogram
    others: list[dict[str, Any]] = field(default_factory=list)
    """What other limits would keep, see `what_if`."""
    kept: list[tuple[str, float]] = field(default_factory=list)
    dropped: list[tuple[str, float]] = field(default_factory=list)


@dataclass
class Content:
    """Everything that is read from the files of a dataset for the page."""

    dropped: list[dict[str, Any]]
    pairs: list[dict[str, Any]]
    rules: list[Rule]
    kept: list[dict[str, Any]]
    quarantine: list[dict[str, Any]]
    groups: dict[str, dict[str, int]]
    """Documents by language, licence and domain, as far as there are such columns."""
    lengths: charts.Histogram | None
    counted: int
    texts: dict[str, examples.Text]
    edits: list[Edit]
    packed: list[Row]
    packed_problem: str


def collect(reader: Dataset, manifest: Manifest) -> Content:
    """Read the examples, scores and counts of a snapshot."""
    private = {s["name"] for s in manifest["recipe"]["sources"] if s.get("private")}
    dropped = [r for r in examples.dropped(reader, manifest["number"], count=EACH) if r["source"] not in private]
    rules = [] if private else _rules(reader, manifest)
    pairs = [] if private or not manifest["tables"].get("pairs") else examples.pairs(reader, manifest["number"], PAIRS)
    bad = [r for r in examples.quarantine(reader, manifest["number"]) if r["source"] not in private]
    groups, lengths, counted, kept = _documents(reader, manifest, private)
    ids = {r["id"] for r in dropped} | {r[side] for r in pairs for side in ("id_a", "id_b")}
    ids |= {r["survivor"] for r in dropped if r.get("survivor") and not private}
    ids |= {name for rule in rules for name, _ in (*rule.kept, *rule.dropped)}
    texts = masked(reader, manifest, examples.texts(reader, manifest, ids))
    bad = _masked_rows(reader, manifest, bad)
    packed, problem = packed_examples.rows(reader, manifest)
    changed = edit_examples.edits(reader, manifest)
    return Content(dropped, pairs, rules, kept, bad, groups, lengths, counted, texts, changed, packed, problem)


def _masked_rows(reader: Dataset, manifest: Manifest, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Quarantined rows whose raw beginning is redacted, where the recipe redacts."""
    safe = masked(reader, manifest, {str(i): examples.Text(r["raw"] or "", "", 0) for i, r in enumerate(rows)})
    return [r | {"raw": safe[str(i)].text if str(i) in safe else ""} for i, r in enumerate(rows)]


def _rules(reader: Dataset, manifest: Manifest) -> list[Rule]:
    """Rules whose scores were kept: those that dropped most first."""
    losses = {s["name"]: s["dropped"] for s in manifest["funnel"]["steps"]}
    found: list[tuple[int, Rule]] = []
    for step in manifest["recipe"]["steps"]:
        table = _scores(reader, manifest, step["name"])
        if table is None:
            continue
        ids = table.column("id")
        others: dict[str, list[dict[str, Any]]] = {}
        for row in what_if.of_step(step["name"], step["fields"], table):
            others.setdefault(row["rule"], []).append(row)
        for rule, limit in step["fields"].items():
            name = rule[4:]
            if rule[:4] not in ("min_", "max_") or name not in table.column_names or limit is None:
                continue
            values = table.column(name).to_numpy().astype(np.float64)
            drawn = charts.histogram(values, rule, float(limit))
            if drawn is None:
                continue
            fails = values < limit if rule.startswith("min_") else values > limit
            near = Rule(step["name"], rule, float(limit), drawn, others.get(rule, []))
            for side, mask in ((near.kept, ~fails & np.isfinite(values)), (near.dropped, fails)):
                places = np.flatnonzero(mask)
                order = places[np.argsort(np.abs(values[places] - limit), kind="stable")[:NEAR]]
                side += [(ids[int(i)].as_py(), float(values[i])) for i in order]
            found.append((losses.get(step["name"], {}).get(rule, 0), near))
    return [rule for _, rule in sorted(found, key=lambda f: -f[0])[:RULES]]


def _scores(reader: Dataset, manifest: Manifest, step: str) -> pa.Table | None:
    batches: list[pa.RecordBatch] = []
    for batch in examples.table(reader, manifest, f"scores/{step}"):
        batches.append(batch)
        if sum(b.num_rows for b in batches) >= SCORES:
            break
    return pa.Table.from_batches(batches) if batches else None


def _documents(
    reader: Dataset, manifest: Manifest, private: set[str]
) -> tuple[dict[str, dict[str, int]], charts.Histogram | None, int, list[dict[str, Any]]]:
    """(documents by language, licence and domain; histogram of lengths; documents counted; first documents of some shards)."""
    if is_packed(manifest["schema"]):
        return {}, None, 0, []
    files = manifest["files"]
    picked = [files[i * len(files) // min(SHARDS, len(files))] for i in range(min(SHARDS, len(files)))]
    groups: dict[str, Counter[str]] = {}
    sizes: list[np.ndarray] = []
    kept: list[dict[str, Any]] = []
    each = -(-KEPT // max(1, min(KEPT, len(picked))))
    for file in picked:
        path = os.path.join(reader.path, file["path"])
        try:
            names = shard_schema(path).names
            for i, batch in enumerate(read_shard(path, [n for n in COLUMNS if n in names])):
                sizes.append(pc.utf8_length(batch.column("text")).fill_null(0).to_numpy(zero_copy_only=False))
                shown = batch.filter(
                    pc.invert(pc.is_in(batch.column("source"), pa.array(sorted(private), pa.string())))
                )
                for title, values in _grouped(shown):
                    counter = groups.setdefault(title, Counter())
                    for pair in pc.value_counts(values).to_pylist():
                        counter[pair["values"] or "unknown"] += pair["counts"]
                if not i:
                    kept += [r for r in batch.slice(0, each).to_pylist() if r["source"] not in private]
        except (CorpusmillError, OSError):
            continue  # `verify` names damaged files; a report of the others is of use
    lengths = np.concatenate(sizes) if sizes else np.zeros(0)
    drawn = charts.histogram(np.log10(np.maximum(lengths, 1))) if len(lengths) else None
    return {t: dict(c) for t, c in groups.items() if set(c) != {"unknown"}}, drawn, len(lengths), kept[:KEPT]


def _grouped(batch: pa.RecordBatch) -> Iterator[tuple[str, pa.Array]]:
    """(title, values) of the columns that documents are counted by. The domain is the host of an address."""
    for title, columns in (
        ("language", ("lang",)),
        ("licence", ("license", "licence")),
        ("domain", ("domain", "host")),
    ):
        name = next((c for c in columns if c in batch.schema.names), None)
        if name is not None:
            yield title, batch.column(name).cast(pa.string())
        elif title == "domain":
            address = batch.column("url" if "url" in batch.schema.names else "id").cast(pa.string())
            yield title, pc.struct_field(pc.extract_regex(address, r"^[a-z]+://(?P<host>[^/:?#]+)"), "host")
