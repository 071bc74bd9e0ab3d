"""Tables of wikitext: a line a row."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_BEGIN = re.compile(r"[:*#\s]*\{\|")
_ATTRIBUTES = re.compile(r"[^|\[\]{}]*=[^|\[\]{}]*|\s*\Z")


@dataclass
class _Table:
    rows: list[list[str]] = field(default_factory=lambda: [[]])
    caption: str = ""
    header: bool = False


def lines_of(text: str, markdown: bool) -> list[str]:
    """The lines of a text in which templates and links are replaced, with rows of tables as lines."""
    out: list[str] = []
    stack: list[_Table] = []
    for line in text.split("\n"):
        stripped = line.strip()
        if _BEGIN.match(line):
            stack.append(_Table())
        elif not stack:
            out.append(line)
        elif stripped.startswith("|}"):
            shown = _shown(stack.pop(), markdown and not stack)
            if stack:
                _extend(stack[-1], " ".join(shown))
            else:
                out += ["", *shown, "", stripped[2:]]
        else:
            _add(stack[-1], stripped)
    while stack:  # a table that is not closed ends with the page
        shown = _shown(stack.pop(), markdown and not stack)
        if stack:
            _extend(stack[-1], " ".join(shown))
        else:
            out += ["", *shown]
    return out


def _add(table: _Table, line: str) -> None:
    if line.startswith("|-"):
        table.rows.append([])
    elif line.startswith("|+"):
        table.caption = _content(line[2:])
    elif line.startswith(("|", "!")):
        head = line[0] == "!"
        table.header = table.header or (head and len(table.rows) <= 2)
        cells = re.split(r"\|\||!!", line[1:]) if head else line[1:].split("||")
        table.rows[-1] += [_content(cell) for cell in cells]
    elif line:
        _extend(table, line)


def _extend(table: _Table, text: str) -> None:
    """Text that goes on in the last cell."""
    text = re.sub(r"\A[*#:;]+\s*", "", text)
    if table.rows[-1]:
        table.rows[-1][-1] = f"{table.rows[-1][-1]} {text}".strip()


def _content(cell: str) -> str:
    """A cell without the attributes before it."""
    before, bar, behind = cell.partition("|")
    return (behind if bar and _ATTRIBUTES.fullmatch(before) else cell).strip()


def _shown(table: _Table, markdown: bool) -> list[str]:
    rows = [row for row in table.rows if any(row)]
    caption = [table.caption, ""] if table.caption else []
    if not markdown or not rows:
        return caption[:1] + [" | ".join(cell for cell in row if cell) for row in rows]
    width = max(map(len, rows))
    lines = ["| " + " | ".join(c.replace("|", r"\|") for c in row + [""] * (width - len(row))) + " |" for row in rows]
    return [*caption, lines[0], "|" + " --- |" * width, *lines[1:]]
