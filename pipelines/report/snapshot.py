"""The output of `corpusmill log`, `show` and `diff`."""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.dataset.packed import packing
from corpusmill.pipelines.report import funnel as funnels
from corpusmill.pipelines.report.terminal import Column, table
from corpusmill.pipelines.wording import count, printable, share, size
from corpusmill.transforms.manifest import FileEntry, Manifest


def notes(manifests: list[Manifest]) -> list[list[str]]:
    """What is special about each snapshot, oldest first: a rollback, a takedown, a purge, another recipe."""
    found = []
    lists_before, recipe_before = 0, ""
    for manifest in manifests:
        suppressed = manifest.get("suppressed")
        lists = suppressed["lists"] if suppressed else 0
        same_recipe = recipe_before in ("", manifest["recipe_digest"])
        found.append(
            [
                *([f"rollback to {manifest['rollback']['to']}"] if manifest.get("rollback") else []),
                *(["takedown"] if lists > lists_before else []),
                *(["purged"] if manifest.get("purged") else []),
                *([] if same_recipe or manifest.get("rollback") else ["recipe or --set changed"]),
            ]
        )
        lists_before, recipe_before = lists, manifest["recipe_digest"]
    return found


def render_log(snapshots: list[dict[str, Any]]) -> str:
    """One line for each snapshot."""
    columns: list[Column | str] = [
        Column("snapshot", True),
        "created",
        Column("documents", True),
        Column("change", True),
        Column("text", True),
        Column("shards", True),
        "recipe",
        *(["notes"] if any(s.get("notes") for s in snapshots) else []),
    ]
    rows = []
    before: int | None = None
    for s in snapshots:
        change = "" if before is None else f"{s['documents'] - before:+,}"
        before = s["documents"]
        cells = [
            str(s["number"]),
            s["created"] or "?",
            count(s["documents"]),
            change,
            size(s["bytes"]),
            count(s["shards"]),
        ]
        last = [", ".join(s.get("notes", []))] if len(columns) > 7 else []
        rows.append([*cells, str(s["recipe"])[:12], *last])
    return table(columns, rows)


def render_show(directory: str, manifest: Manifest) -> str:
    """The size, the recipe and the funnel of a snapshot."""
    parent = manifest.get("parent")
    facts = [
        ("dataset", f"{manifest['name']} in {directory}"),
        ("snapshot", f"{manifest['number']}" + (f", after {parent['number']}" if parent else "")),
        ("created", manifest.get("created") or "?"),
        *_content(manifest),
        ("shards", _shards(manifest["files"])),
        ("recipe", str(manifest.get("recipe_digest", ""))[:12]),
    ]
    columns = manifest.get("schema") or []
    if columns:
        facts.append(("columns", ", ".join(f"{c['name']} {c['type']}" for c in columns)))
    lines = [f"{name:<10} {printable(value)}" for name, value in facts]
    return "\n".join([*lines, "", funnels.render(manifest["funnel"])])


def _content(manifest: Manifest) -> list[tuple[str, str]]:
    packed = packing(manifest)
    if packed is None:
        return [("documents", count(manifest["documents"])), ("text", size(manifest["bytes"]))]
    tokens = f"{count(packed['tokens'])}, {share(packed['padding'], packed['tokens'] + packed['padding'])} of the rows is padding"
    cut = f"{count(packed['packed'])}, {share(packed['cut'], packed['packed'])} of them cut"
    lost = f", {count(packed['lost_tokens'])} tokens lost to min_fill" if packed.get("lost_tokens") else ""
    rows = [("rows", count(manifest["documents"])), ("tokens", tokens + lost), ("documents", cut)]
    return [*rows, ("tokenizer", f"SHA-256 {packed['tokenizer']}")]


def _shards(files: list[FileEntry]) -> str:
    stored = sum(f.get("size", 0) for f in files)
    return count(len(files)) + (f", {size(stored)} on disk" if stored else "")


def render_diff(diff: dict[str, Any]) -> str:
    """Documents added, removed and changed by source, and why they were removed."""
    old, new = diff["documents"]
    head = f"snapshot {diff['a']} -> {diff['b']}: {count(old)} -> {count(new)} documents ({new - old:+,})"
    lines = [head + ("; the recipe changed" if diff.get("recipe_changed") else "")]
    kinds = ("added", "removed", "changed")
    sources = sorted({s for kind in kinds for s in diff[kind]})
    if not sources:
        return "\n".join([*lines, "No document differs."])
    rows = [[s, *(count(diff[kind].get(s, 0)) for kind in kinds)] for s in sources]
    rows.append(["all", *(count(sum(diff[kind].values())) for kind in kinds)])
    lines += ["", table(["source", *(Column(kind, True) for kind in kinds)], rows)]
    if diff.get("reasons"):
        reasons = sorted(diff["reasons"].items(), key=lambda item: (-item[1], item[0]))
        lines += ["", table(["removed because", Column("documents", True)], [[r, count(n)] for r, n in reasons])]
    for kind, ids in diff.get("examples", {}).items():
        if ids:
            lines += ["", f"{kind}, for example:", *(f"  {printable(str(i))}" for i in ids)]
    return "\n".join(lines)
