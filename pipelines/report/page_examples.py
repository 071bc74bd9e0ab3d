"""The parts of the HTML report that show documents: rules, dropped documents, pairs, edits and packed rows."""

from __future__ import annotations

import re
from typing import Any

from corpusmill.pipelines.operations.edit_examples import Edit
from corpusmill.pipelines.operations.examples import Text
from corpusmill.pipelines.operations.packed_examples import Row
from corpusmill.pipelines.report import spans
from corpusmill.pipelines.report.charts import figure
from corpusmill.pipelines.report.collect import Content
from corpusmill.pipelines.report.document import rule as rule_of
from corpusmill.pipelines.report.document import similarity
from corpusmill.pipelines.report.funnel import edited
from corpusmill.pipelines.report.look import side_by_side
from corpusmill.pipelines.wording import clean, count, printable, share, size, some
from corpusmill.transforms.manifest import Manifest

LINES = 40
"""Lines of a pair that are shown."""
COLOURS = 6
"""Colours of the pieces of a packed row, in turn."""
PIECES = 24
"""Pieces of a packed row that are shown."""
_TAG = re.compile(r"<[A-Z_]+(?:_[0-9a-f]{16})?>")


def cut(text: str, characters: int) -> str:
    """A text of at most so many characters, safe to show."""
    return clean(_unix(text if len(text) <= characters else text[:characters] + " …"))


def _unix(text: str) -> str:
    """Line breaks of Windows as line feeds."""
    return text.replace("\r\n", "\n")


def rule(rule: Any, texts: dict[str, Text], characters: int) -> dict[str, Any]:
    """A rule with its histogram and the documents nearest to its threshold."""

    def listed(side: list[tuple[str, float]]) -> list[dict[str, Any]]:
        return [
            {"id": printable(name), "value": figure(value), "pieces": _pieces(rule.rule, texts.get(name), characters)}
            for name, value in side
        ]

    sides = (("just kept", listed(rule.kept)), ("just dropped", listed(rule.dropped)))
    return {
        "step": rule.step,
        "rule": rule.rule,
        "limit": figure(rule.limit),
        "histogram": rule.histogram,
        "others": [
            (figure(r["limit"]), r["current"], count(r["documents"]), share(r["share"], 1), size(r["bytes"]))
            for r in rule.others
        ],
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


def anchor(step: str, reason: str, manifest: Manifest) -> str:
    """The name of the place in the page that shows documents dropped by a rule."""
    keys = [(s["name"], r) for s in manifest["funnel"]["steps"] for r in sorted(s["dropped"])]
    return f"rule-{keys.index((step, reason)) + 1}" if (step, reason) in keys else ""


def dropped(content: Content, manifest: Manifest, characters: int) -> list[dict[str, Any]]:
    """Dropped documents by step and reason."""
    shown = {(r["step"], r["reason"]) for r in content.dropped}
    anchors = {key: anchor(*key, manifest) for key in shown}
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
            "anchor": anchors.get((step, reason), ""),
            "step": step,
            "reason": printable(reason),
            "total": count(totals.get(step, {}).get(reason)),
            "documents": documents,
        }
        for (step, reason), documents in groups.items()
    ]


def pair(row: dict[str, Any], texts: dict[str, Text], characters: int) -> dict[str, Any] | None:
    """Two near-duplicates, line beside line, without lines that are equal far from a change."""
    a, b = texts.get(row["id_a"]), texts.get(row["id_b"])
    if a is None or b is None:
        return None
    lines, more = _differences(a.text, b.text, characters)
    survivor = {row["id_a"]: "left", row["id_b"]: "right"}.get(row["survivor"], "")
    ids = {"a": printable(row["id_a"]), "b": printable(row["id_b"])}
    return {**ids, "similarity": similarity(row), "survivor": survivor, "lines": lines, "more": more}


def _differences(a: str, b: str, characters: int) -> tuple[list[Any], int]:
    """(lines near a difference, side by side, in pieces (text, changed); number of lines that are left out)."""
    lines = list(side_by_side(clean(_unix(a[: 40 * characters])), clean(_unix(b[: 40 * characters]))))
    changed = [any(bit.changed for bit in (*left, *right)) for left, right in lines]
    near = [i for i in range(len(lines)) if any(changed[max(0, i - 1) : i + 2])][:LINES]
    picked = [
        [_shortened([(bit.text, bit.changed) for bit in side], characters) for side in lines[i]]
        for i in near or range(min(3, len(lines)))
    ]
    return picked, len(lines) - len(picked)


def _shortened(bits: list[tuple[str, bool]], characters: int) -> list[tuple[str, bool]]:
    """The parts of a line, each of about so many characters at most. Of what is equal, the characters beside a change are shown.

    >>> _shortened([("abcdefgh", False), ("x", True), ("ijklmnop", False)], 4)
    [('… efgh', False), ('x', True), ('ijkl …', False)]
    """
    shown = []
    for i, (text, changed) in enumerate(bits):
        if len(text) > characters:
            half = characters // 2
            last = i == len(bits) - 1
            if changed or (last and i):
                text = text[:characters] + " …"
            else:  # of a line without a change both ends are shown, for the other side may differ at either
                text = f"… {text[-characters:]}" if i == 0 and not last else f"{text[:half]} … {text[-half:]}"
        shown.append((text, changed))
    return shown


def edits(found: list[Edit], manifest: Manifest, characters: int) -> list[dict[str, Any]]:
    """What each step changed: its figures, and documents before and after it."""
    counts = {s["name"]: s for s in manifest["funnel"]["steps"]}
    groups = []
    for name, step in counts.items():
        figures = edited(step)
        if not figures:
            continue
        documents: list[dict[str, Any]] = []
        for edit in (e for e in found if e.step == name):
            entry: dict[str, Any] = {"id": printable(edit.id), "before": edit.before is not None}
            if edit.before is None:
                entry["pieces"] = _tagged(edit.after, characters)
            else:
                entry["lines"], entry["more"] = _differences(edit.before, edit.after, characters)
            documents.append(entry)
        groups.append({"step": printable(name), "figures": figures, "documents": documents})
    return groups


def _tagged(text: str, characters: int) -> list[tuple[str, bool]]:
    """A redacted text in pieces (text, marked), from shortly before its first tag."""
    found = [m.span() for m in _TAG.finditer(text)]
    begin = max(0, found[0][0] - characters // 3) if found and found[0][0] > characters // 2 else 0
    shown = clean(_unix(text[begin : begin + characters]))
    pieces = [(part, bool(_TAG.fullmatch(part))) for part in re.split(f"({_TAG.pattern})", shown) if part]
    return [*([("… ", False)] if begin else []), *pieces, *([(" …", False)] if begin + characters < len(text) else [])]


def packed(rows: list[Row], characters: int) -> list[dict[str, Any]]:
    """Packed rows with the colour, the document and the text of each piece."""
    return [
        {
            "id": printable(row.id),
            "tokens": count(row.tokens),
            "padding": share(row.length - row.tokens, row.length),
            "about": f"{some(len(row.pieces), 'piece')} of {some(len({p.id for p in row.pieces}), 'document')}",
            "parts": [
                {
                    "colour": i % COLOURS,
                    "width": f"{100 * p.tokens / row.length:.2f}",
                    "x": f"{100 * start / row.length:.2f}",
                }
                for i, (p, start) in enumerate(zip(row.pieces, _starts(row), strict=True))
            ],
            "pieces": [
                {
                    "colour": i % COLOURS,
                    "id": printable(p.id),
                    "tokens": count(p.tokens),
                    "offset": count(p.offset) if p.offset else "",
                    "text": cut(p.text, characters),
                }
                for i, p in enumerate(row.pieces[:PIECES])
            ],
            "more": count(len(row.pieces) - PIECES) if len(row.pieces) > PIECES else "",
        }
        for row in rows
    ]


def _starts(row: Row) -> list[int]:
    return [sum(p.tokens for p in row.pieces[:i]) for i in range(len(row.pieces))]
