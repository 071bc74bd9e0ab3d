"""Writes blocks of a page as plain text or as Markdown."""

from __future__ import annotations

import numpy as np

from corpusmill.transforms.web import tags
from corpusmill.transforms.web.blocks import ANCESTRY, BREAKS, ELEMENT, LEVEL, LIST_DEPTH, Blocks

_QUOTED = 1 << tags.ANCESTORS.index("blockquote")


class _Tree:
    """Looks up the ancestors of a block among the block elements of its page."""

    def __init__(self, blocks: Blocks) -> None:
        self.parents = blocks.parents.tolist()
        table = tags.tables()[1]
        self.kinds = [int(table[k]) if k >= 0 else 0 for k in blocks.kinds.tolist()]
        self.names = [tags.NAMES[k] if k >= 0 else "" for k in blocks.kinds.tolist()]

    def nearest(self, element: int, kind: int) -> int:
        """The innermost element of a kind that is `element` or around it; 0 if there is none."""
        while element and not self.kinds[element] & kind:
            element = self.parents[element]
        return element


def render(blocks: Blocks, keep: np.ndarray, markdown: bool) -> str:
    """The blocks with keep[i], in order.

    Plain text: paragraphs with a blank line between them, items of lists and rows of tables on lines of their own, cells
    divided by tabs, code as it stands. Markdown: headings, lists with their depth and numbers, quotes, tables and fenced
    code besides.
    """
    tree = _Tree(blocks)
    out: list[str] = []
    last_item = last_row = last_table = 0
    numbers: dict[int, int] = {}
    for i in np.flatnonzero(keep).tolist():
        values = blocks.values[i]
        element = int(values[ELEMENT])
        text = blocks.string(i)
        item, row = tree.nearest(element, tags.ITEM), tree.nearest(element, tags.ROW)
        code = tree.nearest(element, tags.PRE)
        if code:
            out.append("\n\n" if out else "")
            out.append(_fenced(text) if markdown else text.rstrip("\n"))
        elif row and tree.nearest(element, tags.CELL):
            table = tree.nearest(element, tags.TABLE)
            text = " ".join(text.split())
            if row == last_row:
                out.append(f" {text} |" if markdown else f"\t{text}")
            else:
                if markdown and last_row and table == last_table and numbers.get(-table, 0) == 1:
                    out.append(_separator(out))
                numbers[-table] = numbers.get(-table, 0) + 1
                out.append("" if not out else "\n" if table == last_table else "\n\n")
                out.append(f"| {text} |" if markdown else text)
            last_table = table
        else:
            first = item != last_item
            within = bool(item) and (bool(last_item) or not first) and not values[LEVEL]
            out.append("" if not out else "\n" if within else "\n\n")
            out.append(
                _line(tree, numbers, text, values, item if first else 0, int(values[LIST_DEPTH])) if markdown else text
            )
            last_table = 0
        last_item, last_row = item, row
    return "".join(out)


def _line(tree: _Tree, numbers: dict[int, int], text: str, values: np.ndarray, item: int, depth: int) -> str:
    """A block in Markdown; `item` is the item of a list that begins with it, or 0."""
    level = int(values[LEVEL])
    if level:
        return f"{'#' * level} {' '.join(text.split())}"
    indent = "  " * max(0, depth - 1)
    if item:
        around = tree.parents[item]
        numbers[around] = numbers.get(around, 0) + 1
        mark = f"{numbers[around]}. " if tree.names[around] == "ol" else "- "
        text = indent + mark + text.replace("\n", "\n" + indent + "  ")
    elif values[BREAKS]:
        text = text.replace("\n", "  \n")
    return "> " + text.replace("\n", "\n> ") if values[ANCESTRY] & _QUOTED else text


def _fenced(code: str) -> str:
    fence = "```"
    while fence in code:
        fence += "`"
    return f"{fence}\n{code.rstrip(chr(10))}\n{fence}"


def _separator(out: list[str]) -> str:
    """The line behind the first row of a table, which the last pieces of `out` are."""
    cells = 0
    for piece in reversed(out):
        cells += piece.endswith(" |")
        if piece.startswith("| "):
            break
    return "\n|" + " --- |" * cells
