"""Writes blocks of a page as plain text or as Markdown."""

from __future__ import annotations

import numpy as np

from corpusmill.transforms.web import tags
from corpusmill.transforms.web.blocks import ANCESTRY, BREAKS, ELEMENT, LEVEL, LIST_DEPTH, Blocks
from corpusmill.transforms.web.markup import END, LANGUAGE

_QUOTED = 1 << tags.ANCESTORS.index("blockquote")


class _Tree:
    """Looks up the elements of a page."""

    def __init__(self, blocks: Blocks) -> None:
        self._parents, self._kinds = blocks.parents, blocks.kinds
        self._by_row: dict[int, list[int]] | None = None

    def parent(self, element: int) -> int:
        """The element around another."""
        return int(self._parents[element])

    def name(self, element: int) -> str:
        """The tag of an element that has a kind, else ""."""
        kind = int(self._kinds[element])
        return tags.NAMES[kind] if kind >= 0 else ""

    def cells(self, row: int, known: dict[int, str]) -> list[int]:
        """The cells of a row in order, those without text too."""
        if self._by_row is None:
            self._by_row = {}
            of_cells = (tags.tables()[1][self._kinds] & tags.CELL) * (self._kinds >= 0)
            for element in np.flatnonzero(of_cells).tolist():
                self._by_row.setdefault(self.parent(element), []).append(element)
        return self._by_row.get(row) or list(known)


def render(blocks: Blocks, keep: np.ndarray, markdown: bool) -> str:
    """The blocks with keep[i], in order.

    Plain text: paragraphs with a blank line between them, items of lists and rows of tables on lines of their own, cells
    divided by tabs, code as it stands. Markdown: headings, lists with their depth and numbers, quotes, tables and fenced
    code besides.
    """
    tree = _Tree(blocks)
    out: list[str] = []
    last_item = last_row = last_table = last_code = last_cell = 0
    rows: list[tuple[int, dict[int, str]]] = []  # of the open table: (row, text of each cell)
    numbers: dict[int, int] = {}

    def end_table() -> None:
        if rows:
            out.append(("\n\n" if out else "") + _table(tree, rows))
            rows.clear()

    places = np.flatnonzero(keep)
    values = blocks.values[places]
    nearest = blocks.nearest()[values[:, ELEMENT]].tolist()
    shape = values[:, (LEVEL, LIST_DEPTH, BREAKS, ANCESTRY)].tolist()
    for text, around, (level, depth, breaks, ancestry) in zip(
        blocks.strings(places.tolist()), nearest, shape, strict=True
    ):
        item, row, cell, table, code = around
        cell = cell if row else 0
        if code:
            end_table()
            if code == last_code:  # a block for each line, as some highlighters have it
                if markdown:
                    out[-1] = _fenced(
                        out[-1].partition("\n")[2].rpartition("\n")[0] + "\n" + text, out[-1].partition("\n")[0]
                    )
                else:
                    out.append("\n" + text.rstrip("\n"))
            else:
                out.append("\n\n" if out else "")
                out.append(_fenced(text) if markdown else text.rstrip("\n"))
        elif row and cell:
            text = " ".join(text.split())
            if markdown:
                if table != last_table:
                    end_table()
                if not rows or rows[-1][0] != row:
                    rows.append((row, {}))
                cells = rows[-1][1]
                cells[cell] = f"{cells[cell]} {text}" if cell in cells else text
            elif row == last_row:
                out.append(f"\t{text}" if cell != last_cell else f" {text}")
            else:
                out.append("" if not out else "\n" if table == last_table else "\n\n")
                out.append(text)
            last_table = table
        else:
            end_table()
            first = item != last_item
            within = bool(item) and (bool(last_item) or not first) and not level
            out.append("" if not out else "\n" if within else "\n\n")
            if markdown:
                line = _line(tree, numbers, text, level, item if first else 0, depth, bool(breaks))
                text = "> " + line.replace("\n", "\n> ") if ancestry & _QUOTED and not level else line
            out.append(text)
            last_table = 0
        last_item, last_row, last_code, last_cell = item, row, code, cell
    end_table()
    return "".join(out)


def _table(tree: _Tree, rows: list[tuple[int, dict[int, str]]]) -> str:
    """A table in Markdown, its empty cells in their places. One of a single column is a layout, and gives paragraphs."""
    lines = [[cells.get(c, "").replace("|", "\\|") for c in tree.cells(row, cells)] for row, cells in rows]
    width = max(len(line) for line in lines)
    if width == 1:
        return "\n\n".join(line[0].replace("\\|", "|") for line in lines if line)
    lines = [line + [""] * (width - len(line)) for line in lines]
    written = ["| " + " | ".join(line) + " |" for line in lines]
    if len(written) > 1:
        written.insert(1, "|" + " --- |" * width)
    return "\n".join(written)


def _line(tree: _Tree, numbers: dict[int, int], text: str, level: int, item: int, depth: int, breaks: bool) -> str:
    """A block in Markdown; `item` is the item of a list that begins with it, or 0."""
    if level:
        return f"{'#' * level} {' '.join(text.split()).removesuffix('¶').rstrip()}"
    indent = "  " * max(0, depth - 1)
    if item:
        around = tree.parent(item)
        numbers[around] = numbers.get(around, 0) + 1
        mark = f"{numbers[around]}. " if tree.name(around) == "ol" else "- "
        return indent + mark + text.replace("\n", "\n" + indent + "  ")
    return text.replace("\n", "  \n") if breaks else text


def _fenced(code: str, opened: str = "") -> str:
    """A block of code between fences; `opened` is the fence that it has already, with the language."""
    language = opened.lstrip("`")
    if code.startswith(LANGUAGE):
        language, _, code = code[1:].partition(END)
    fence = "```"
    while fence in code:
        fence += "`"
    return f"{fence}{language}\n{code.rstrip(chr(10))}\n{fence}"
