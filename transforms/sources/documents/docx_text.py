"""The text of a Word document (Office Open XML) as Markdown: headings, lists, tables and notes in order.

Deleted text of tracked changes is left out, and inserted text stays. Footnotes stand where their mark does, as [^1], and their text
at the end. Source: ECMA-376, part 1, section 17.
"""

from __future__ import annotations

import re
from typing import Any

from corpusmill.transforms.sources.documents.container import BadDocumentError, Container, local

_HEADING = re.compile(r"(?:heading|überschrift|titre|rubrik|kop)\s*([1-9])\Z", re.IGNORECASE)
_LEFT_OUT = frozenset(("del", "moveFrom", "instrText", "delText", "Fallback", "pPr", "rPr", "txbxContent"))
_DEEPEST = 200


def docx(container: Container) -> tuple[str, str]:
    """(text, title).

    Raises:
        BadDocumentError: it is damaged, encrypted, or without text.
    """
    root = container.xml("word/document.xml")
    if root is None:
        raise BadDocumentError("docx-damaged", "holds no word/document.xml")
    reader = _Reader(container)
    body = next((e for e in root if local(e.tag) == "body"), None)
    text = "" if body is None else reader.blocks(body)
    notes = reader.notes()
    text = "\n\n".join(part for part in (text, notes) if part.strip())
    if not text:
        raise BadDocumentError("docx-no-text", "has no text")
    core = container.xml("docProps/core.xml")
    title = next((e.text or "" for e in ([] if core is None else core.iter()) if local(e.tag) == "title"), "")
    return text, " ".join(title.split())


def _value(element: Any, *names: str) -> str | None:
    """The attribute `val` of the element that a path of names leads to."""
    for name in names:
        element = next((e for e in element if local(e.tag) == name), None) if element is not None else None
    return None if element is None else next((v for k, v in element.items() if local(k) == "val"), "")


class _Reader:
    def __init__(self, container: Container) -> None:
        self._container = container
        self._levels: dict[str, int] = {}
        styles = container.xml("word/styles.xml")
        for style in () if styles is None else (e for e in styles if local(e.tag) == "style"):
            key = next((v for k, v in style.items() if local(k) == "styleId"), "")
            name = _value(style, "name") or ""
            outline = _value(style, "pPr", "outlineLvl")
            heading = _HEADING.match(name)
            if heading or name.lower() == "title" or (outline or "").isdecimal():
                self._levels[key] = (
                    int(heading[1]) if heading else 1 if name.lower() == "title" else int(outline or 0) + 1
                )
        self._bullets = self._lists()
        self._counts: dict[tuple[str, int], int] = {}
        self._noted: list[tuple[str, str]] = []

    def _lists(self) -> dict[tuple[str, str], bool]:
        """(list, level) -> whether it has bullets and not numbers."""
        numbering = self._container.xml("word/numbering.xml")
        if numbering is None:
            return {}
        kinds: dict[str, dict[str, bool]] = {}
        for abstract in (e for e in numbering if local(e.tag) == "abstractNum"):
            key = next((v for k, v in abstract.items() if local(k) == "abstractNumId"), "")
            for level in (e for e in abstract if local(e.tag) == "lvl"):
                at = next((v for k, v in level.items() if local(k) == "ilvl"), "0")
                kinds.setdefault(key, {})[at] = _value(level, "numFmt") in ("bullet", "none")
        out = {}
        for number in (e for e in numbering if local(e.tag) == "num"):
            key = next((v for k, v in number.items() if local(k) == "numId"), "")
            for at, bullet in kinds.get(_value(number, "abstractNumId") or "", {}).items():
                out[key, at] = bullet
        return out

    def blocks(self, parent: Any, depth: int = 0) -> str:
        """The paragraphs and tables of an element."""
        out: list[str] = []
        listed = False
        for element in parent if depth < _DEEPEST else ():
            kind = local(element.tag)
            if kind == "p":
                text, item = self._paragraph(element)
                if text:
                    out.append(("\n" if item and listed else "\n\n" if out else "") + text)
                    listed = item
            elif kind == "tbl":
                text = self._table(element, depth)
                out.append(("\n\n" if out else "") + text if text else "")
                listed = False
            elif kind in ("sdt", "sdtContent", "ins", "moveTo", "customXml"):
                text = self.blocks(element, depth + 1)
                out.append(("\n\n" if out else "") + text if text else "")
                listed = False
        return "".join(out)

    def _paragraph(self, paragraph: Any) -> tuple[str, bool]:
        """(text, whether it is an item of a list)."""
        text = "".join(self._runs(paragraph, 0)).strip()
        if not text:
            return "", False
        properties = next((e for e in paragraph if local(e.tag) == "pPr"), None)
        outline = _value(properties, "outlineLvl") if properties is not None else None
        style = (_value(properties, "pStyle") or "") if properties is not None else ""
        level = int(outline) + 1 if outline and outline.isdecimal() else self._levels.get(style, 0)
        if 0 < level < 10:
            return f"{'#' * min(level, 6)} {' '.join(text.split())}", False
        number = _value(properties, "numPr", "numId") if properties is not None else None
        if number and number != "0":
            at = _value(properties, "numPr", "ilvl") or "0"
            depth = min(int(at), 8) if at.isdecimal() else 0
            indent = "  " * depth
            mark = "- "
            if not self._bullets.get((number, at), True):
                self._counts[number, depth] = self._counts.get((number, depth), 0) + 1
                mark = f"{self._counts[number, depth]}. "
            for deeper in [k for k in self._counts if k[0] == number and k[1] > depth]:
                del self._counts[deeper]
            return indent + mark + text.replace("\n", "\n" + indent + "  "), True
        return text.replace("\n", "  \n"), False

    def _runs(self, parent: Any, depth: int) -> list[str]:
        out: list[str] = []
        for element in parent if depth < _DEEPEST else ():
            kind = local(element.tag)
            if kind == "t":
                out.append(element.text or "")
            elif kind in ("tab", "ptab"):
                out.append("\t")
            elif kind in ("br", "cr"):
                out.append("\n")
            elif kind == "noBreakHyphen":
                out.append("\u2011")
            elif kind in ("footnoteReference", "endnoteReference"):
                key = next((v for k, v in element.items() if local(k) == "id"), "")
                self._noted.append((kind.removesuffix("Reference"), key))
                out.append(f"[^{len(self._noted)}]")
            elif kind == "docPr":
                words = (element.get("descr") or "").split()
                out.append(f"![{' '.join(words)}]" if len(words) >= 3 else "")
            elif kind not in _LEFT_OUT:
                out += self._runs(element, depth + 1)
        return out

    def _table(self, table: Any, depth: int) -> str:
        rows = []
        for row in (e for e in table if local(e.tag) == "tr"):
            cells = []
            for cell in (e for e in row if local(e.tag) == "tc"):
                text = " ".join(self.blocks(cell, depth + 1).split()).replace("|", "\\|")
                span = _value(cell, "tcPr", "gridSpan") or "1"
                cells += [text, *([""] * (min(int(span), 64) - 1 if span.isdecimal() else 0))]
            rows.append(cells)
        width = max((len(r) for r in rows), default=0)
        lines = ["| " + " | ".join(r + [""] * (width - len(r))) + " |" for r in rows]
        if len(lines) > 1:
            lines.insert(1, "|" + " --- |" * width)
        return "\n".join(lines) if any(any(r) for r in rows) else ""

    def notes(self) -> str:
        """The notes that the text refers to, in order."""
        out, files = [], {}
        for i, (kind, key) in enumerate(self._noted, 1):
            if kind not in files:
                root = self._container.xml(f"word/{kind}s.xml")
                files[kind] = {
                    next((v for k, v in e.items() if local(k) == "id"), ""): e for e in (() if root is None else root)
                }
            note = files[kind].get(key)
            text = "" if note is None else self.blocks(note).strip()
            out.append(f"[^{i}]: " + text.replace("\n", "\n    "))
            if len(out) > 100_000:
                break
        return "\n\n".join(out)
