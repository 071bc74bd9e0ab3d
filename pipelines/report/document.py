"""The output of the verbs about single documents: `why`, `dropped`, `pairs` and `quarantine`."""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.operations.examples import Text
from corpusmill.pipelines.operations.look import Pair
from corpusmill.pipelines.report.look import render_pair
from corpusmill.pipelines.report.terminal import Column, is_rich, styled, table
from corpusmill.pipelines.wording import clean, count, printable, size, some
from corpusmill.transforms.manifest import Manifest

CHARACTERS = 600
"""Of a text that is shown in a list."""


def render_why(found: dict[str, Any], manifest: Manifest | None = None) -> str:
    """A document's way through the steps, in sentences; with a manifest, also what a rule asked for."""
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
        lines.append(f"  {printable(sentence(event))}")
        if event["outcome"] == "dropped" and manifest is not None:
            lines += [f"  {printable(line)}" for line in rule(manifest, event)]
    for cut in found.get("cut", []):
        lines.append(f"  {printable(cut['step'])} cut {some(cut['blocks'], 'block')} out of it ({size(cut['bytes'])}):")
        lines += [f"    | {clean(sample)}" for sample in cut["samples"]]
        rest = cut["blocks"] - len(cut["samples"])
        lines += [f"    and {count(rest)} more"] if rest else []
    duplicates = found.get("survivor_of", [])
    if duplicates:
        lines.append(f"  it stands for {some(len(duplicates), 'dropped document')}:")
        lines += [f"    {printable(str(d['id']))} ({d['step']}{_value(d.get('value'))})" for d in duplicates[:20]]
        lines += [f"    and {count(len(duplicates) - 20)} more"] if len(duplicates) > 20 else []
    return "\n".join(lines)


def sentence(event: dict[str, Any]) -> str:
    passed = f" after passing {', '.join(event['passed'])}" if event.get("passed") else ""
    if event["outcome"] == "dropped":
        survivor = f"; the survivor is {event['survivor']}" if event.get("survivor") else ""
        text = f"from {event['source']}: dropped by {event['step']} for {event['reason']}{_value(event.get('value'))}"
        return text + passed + survivor
    if event["outcome"] == "derived":
        return f"{event['child']} is derived from it by {event['derived_by']}, in {event['file']}"
    if event["outcome"] == "quarantined":
        cause = f"{event['reason']}, {event['detail']}" if event["detail"] else event["reason"]
        return f"from {event['source']}: {cause} (position {event['position']} of {event['file']})"
    if event["outcome"] == "packed":
        place = f"row {event['row']} of {event['file']} ({event['in']})" if event["row"] is not None else event["in"]
        where = f"{place}, tokens {event['start']} to "
        part = f", its tokens from {event['offset']} on" if event["offset"] else ""
        return f"packed into {where}{event['start'] + event['length'] - 1}{part}{passed}"
    if event["outcome"] == "row":
        ids = [d["id"] for d in event.get("documents", [])]
        more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
        place = f"row {event['row']} of {event['file']}: " if event["row"] is not None else ""
        return f"{place}packed from {', '.join(ids[:5])}{more}"
    repeat = f", epoch {event['epoch']}" if event.get("epoch") else ""
    lineage = (
        f"{repeat}, derived from {event['parent']} by {event.get('derived_by')}" if event.get("parent") else repeat
    )
    return (
        f"from {event['source']}: kept{passed}, row {event['row']} of {event['file']}, {size(event['bytes'])}{lineage}"
    )


def _value(value: float | None) -> str:
    return "" if value is None or value != value else f" ({value:.4g})"


def rule(manifest: Manifest, row: dict[str, Any]) -> list[str]:
    """What a step found in a dropped document and what its recipe asked for, in sentences; none for a duplicate."""
    if row.get("survivor"):
        return []
    fields: dict[str, Any] = next((s["fields"] for s in manifest["recipe"]["steps"] if s["name"] == row["step"]), {})
    reason = str(row["reason"]).replace("-", "_")
    value = row.get("value")
    found = "" if value is None or value != value else f"found {value:.4g}; "
    asked = {
        n: fields[n] for n in (reason, f"min_{reason}", f"max_{reason}", f"keep_{reason}") if fields.get(n) is not None
    }
    asked = asked or {n: fields[n] for n in ("keep", "min_score", "max_score", "call") if fields.get(n) is not None}
    wanted = ", ".join(f"{name} is {shown(limit)}" for name, limit in asked.items())
    return [f"{found}{wanted}" if wanted else found.removesuffix("; ")] if found or wanted else []


def shown(value: Any) -> str:
    """A field of a recipe as text."""
    return "[" + ", ".join(map(str, value)) + "]" if isinstance(value, list | tuple) else str(value)


def render_text(found: Text | None) -> str:
    """A document's text and where it stands."""
    if found is None:
        return "Its text is neither in the snapshot nor in the sources as they are now."
    return f"row {found.row} of {printable(found.file)}, {size(len(found.text.encode()))}:\n\n{clean(found.text)}"


def render_dropped(rows: list[dict[str, Any]], texts: dict[str, Text], manifest: Manifest) -> str:
    """Dropped documents under their step and reason, each with what was found and its text."""
    lines: list[str] = []
    before: tuple[str, str] | None = None
    totals = {s["name"]: s["dropped"] for s in manifest["funnel"]["steps"]}
    for row in rows:
        key = (row["step"], row["reason"])
        if key != before:
            number = totals.get(row["step"], {}).get(row["reason"])
            lines += ["" if lines else None, styled(f"{row['step']}: {row['reason']}, {count(number)} in all", "head")]  # type: ignore[list-item]
            before = key
        lines.append(f"  {styled(row['id'], 'loss')} from {printable(row['source'])}")
        if row.get("survivor"):
            lines.append(f"    the survivor is {printable(row['survivor'])}{_value(row.get('value'))}")
        lines += [f"    {printable(line)}" for line in rule(manifest, row)]
        lines += _excerpt(texts.get(row["id"]))
    return "\n".join(line for line in lines if line is not None)


def _excerpt(found: Text | None) -> list[str]:
    if found is None:
        return []
    text = found.text[:CHARACTERS].replace("\r\n", "\n") + (" ..." if len(found.text) > CHARACTERS else "")
    return [f"    row {found.row} of {printable(found.file)}", *(f"    | {clean(line)}" for line in text.split("\n"))]


def similarity(row: dict[str, Any]) -> str:
    """What makes a pair: its Jaccard similarity, or the cosine of its vectors."""
    for name in ("jaccard", "cosine"):
        if row.get(name) is not None:
            return f"{name.capitalize()} {row[name]:.3f}"
    return "not compared"


def render_pairs(rows: list[dict[str, Any]], texts: dict[str, Text], width: int = 120) -> str:
    """Pairs with their similarity; with texts, side by side."""
    parts = []
    for row in rows:
        a, b = (texts.get(row[side]) for side in ("id_a", "id_b"))
        survivor = {row["id_a"]: "the left one", row["id_b"]: "the right one"}.get(row["survivor"])
        note = f"{similarity(row)}; the survivor is {survivor or printable(str(row['survivor']))}"
        if a is None or b is None:
            parts.append(f"{printable(row['id_a'])}\n{printable(row['id_b'])}\n  {note}")
        else:
            pair = Pair(row["id_b"], row["id_a"], "near-duplicates", a.text[:20_000], b.text[:20_000], note)
            parts.append(render_pair(pair, width, is_rich()))
    return "\n\n".join(parts)


def render_quarantine(rows: list[dict[str, Any]], total: int) -> str:
    """Rows that could not be read."""
    if not rows:
        return "No row is quarantined."
    cells = [[r["source"], r["file"], count(r["position"]), r["reason"], r["detail"][:60], r["raw"][:60]] for r in rows]
    listed = table(["source", "file", Column("position", True), "reason", "detail", "row"], cells)
    return listed + (f"\n{count(total - len(rows))} more" if total > len(rows) else "")
