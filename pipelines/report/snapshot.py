"""What `corpusmill log`, `show`, `diff` and `why` print."""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.dataset.packed import packing
from corpusmill.pipelines.report import funnel as funnels
from corpusmill.pipelines.report.terminal import Column, styled, table
from corpusmill.pipelines.wording import count, printable, share, size, some


def render_log(snapshots: list[dict[str, Any]]) -> str:
    """One line a snapshot."""
    columns: list[Column | str] = [
        Column("snapshot", True),
        "created",
        Column("documents", True),
        Column("change", True),
        Column("text", True),
        Column("shards", True),
        "recipe",
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
        rows.append([*cells, str(s["recipe"])[:12]])
    return table(columns, rows)


def render_show(directory: str, manifest: dict[str, Any]) -> str:
    """A snapshot's size, recipe and funnel."""
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


def _content(manifest: dict[str, Any]) -> list[tuple[str, str]]:
    packed = packing(manifest)
    if packed is None:
        return [("documents", count(manifest["documents"])), ("text", size(manifest["bytes"]))]
    tokens = f"{count(packed['tokens'])}, {share(packed['padding'], packed['tokens'] + packed['padding'])} of the rows is padding"
    cut = f"{count(packed['packed'])}, {share(packed['cut'], packed['packed'])} of them cut"
    lost = f", {count(packed['lost_tokens'])} tokens lost to min_fill" if packed.get("lost_tokens") else ""
    rows = [("rows", count(manifest["documents"])), ("tokens", tokens + lost), ("documents", cut)]
    return [*rows, ("tokenizer", f"SHA-256 {packed['tokenizer']}")]


def _shards(files: list[dict[str, Any]]) -> str:
    stored = sum(f.get("size", 0) for f in files)
    return count(len(files)) + (f", {size(stored)} on disk" if stored else "")


def render_diff(diff: dict[str, Any]) -> str:
    """Documents added, removed and changed, by source, and why they went."""
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


def render_why(found: dict[str, Any]) -> str:
    """A document's way through the steps, in sentences."""
    document, number = printable(found["id"]), found["snapshot"]
    if found["outcome"] == "unknown":
        return (
            f"{document}: no document of this id was read for snapshot {number}. "
            "Ids are compared whole: `corpusmill diff` and the files in data/ and dropped/ hold them."
        )
    if found["outcome"] == "suppressed":
        return f"{document}: {styled('taken out', 'loss')} by `corpusmill forget`; no run lets it in again"
    style = {"kept": "good", "packed": "good", "dropped": "loss", "quarantined": "loss"}.get(found["outcome"], "head")
    lines = [f"{document}: {styled(found['outcome'], style)} in snapshot {number}"]
    for event in found["history"]:
        lines.append(f"  {printable(_sentence(event))}")
    told = found.get("survivor_of", [])
    if told:
        lines.append(f"  it stands for {some(len(told), 'dropped document')}:")
        lines += [f"    {printable(str(d['id']))} ({d['step']}{_value(d.get('value'))})" for d in told[:20]]
        lines += [f"    and {count(len(told) - 20)} more"] if len(told) > 20 else []
    return "\n".join(lines)


def _sentence(event: dict[str, Any]) -> str:
    passed = f" after passing {', '.join(event['passed'])}" if event.get("passed") else ""
    if event["outcome"] == "dropped":
        survivor = f"; the survivor is {event['survivor']}" if event.get("survivor") else ""
        text = f"from {event['source']}: dropped by {event['step']} for {event['reason']}{_value(event.get('value'))}"
        return text + passed + survivor
    if event["outcome"] == "derived":
        return f"{event['child']} is derived from it by {event['derived_by']}, in {event['file']}"
    if event["outcome"] == "quarantined":
        said = f"{event['reason']}, {event['detail']}" if event["detail"] else event["reason"]
        return f"from {event['source']}: {said} (position {event['position']} of {event['file']})"
    if event["outcome"] == "packed":
        where = f"row {event['row']} of {event['file']} ({event['in']}), tokens {event['start']} to "
        part = f", its tokens from {event['offset']} on" if event["offset"] else ""
        return f"packed into {where}{event['start'] + event['length'] - 1}{part}{passed}"
    if event["outcome"] == "row":
        ids = [d["id"] for d in event.get("documents", [])]
        more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
        return f"row {event['row']} of {event['file']}: packed from {', '.join(ids[:5])}{more}"
    repeat = f", epoch {event['epoch']}" if event.get("epoch") else ""
    lineage = (
        f"{repeat}, derived from {event['parent']} by {event.get('derived_by')}" if event.get("parent") else repeat
    )
    return (
        f"from {event['source']}: kept{passed}, row {event['row']} of {event['file']}, {size(event['bytes'])}{lineage}"
    )


def _value(value: float | None) -> str:
    return "" if value is None or value != value else f" ({value:.4g})"
