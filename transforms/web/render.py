"""Writes blocks of a page as plain text or as Markdown."""

from __future__ import annotations

import numpy as np

from corpusmill.transforms.web import tags
from corpusmill.transforms.web.blocks import ANCESTRY, BREAKS, ELEMENT, LEVEL, LIST_DEPTH, Blocks
from corpusmill.transforms.web.markup import END, LANGUAGE

_QUOTED = 1 << tags.ANCESTORS.index("blockquote")


class _Tree:
    """Looks up the ancestors of a block among the block elements of its page."""

    def __init__(self, blocks: Blocks) -> None:
        self.parents = blocks.parents.tolist()
        table = tags.tables()[1]
        self.kinds = [int(table[k]) if k >= 0 else 0 for k in blocks.kinds.tolist()]
        self.names = [tags.NAMES[k] if k >= 0 else "" for k in blocks.kinds.tolist()]
        self._by_row: dict[int, list[int]] | None = None

    def nearest(self, element: int, kind: int) -> int:
        """The innermost element of a kind that is `element` or around it; 0 if there is none."""
        while element and not self.kinds[element] & kind:
            element = self.parents[element]
        return element

    def cells(self, row: int, known: dict[int, str]) -> list[int]:
        """The cells of a row in order, those without text too."""
        if self._by_row is None:
            self._by_row = {}
            for element, kind in enumerate(self.kinds):
                if kind & tags.CELL:
                    self._by_row.setdefault(self.parents[element], []).append(element)
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

    for i in np.flatnonzero(keep).tolist():
        values = blocks.values[i]
        element = int(values[ELEMENT])
        text = blocks.string(i)
        item, row = tree.nearest(element, tags.ITEM), tree.nearest(element, tags.ROW)
        code = tree.nearest(element, tags.PRE)
        cell = tree.nearest(element, tags.CELL) if row else 0
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
            table = tree.nearest(element, tags.TABLE)
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
            within = bool(item) and (bool(last_item) or not first) and not values[LEVEL]
            out.append("" if not out else "\n" if within else "\n\n")
            out.append(
                _line(tree, numbers, text, values, item if first else 0, int(values[LIST_DEPTH])) if markdown else text
            )
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


def _line(tree: _Tree, numbers: dict[int, int], text: str, values: np.ndarray, item: int, depth: int) -> str:
    """A block in Markdown; `item` is the item of a list that begins with it, or 0."""
    level = int(values[LEVEL])
    if level:
        return f"{'#' * level} {' '.join(text.split()).removesuffix('¶').rstrip()}"
    indent = "  " * max(0, depth - 1)
    if item:
        around = tree.parents[item]
        numbers[around] = numbers.get(around, 0) + 1
        mark = f"{numbers[around]}. " if tree.names[around] == "ol" else "- "
        text = indent + mark + text.replace("\n", "\n" + indent + "  ")
    elif values[BREAKS]:
        text = text.replace("\n", "  \n")
    return "> " + text.replace("\n", "\n> ") if values[ANCESTRY] & _QUOTED else text


def _fenced(code: str, opened: str = "") -> str:
    """A block of code between fences; `opened` is the fence that it has already, with the language."""
    language = opened.lstrip("`")
    if code.startswith(LANGUAGE):
        language, _, code = code[1:].partition(END)
    fence = "```"
    while fence in code:
        fence += "`"
    return f"{fence}{language}\n{code.rstrip(chr(10))}\n{fence}"
