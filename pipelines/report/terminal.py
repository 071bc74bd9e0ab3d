"""Tables and bars: coloured on a terminal, plain aligned lines elsewhere or under NO_COLOR."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from corpusmill.pipelines.wording import has_colour, printable


def is_rich(stream: IO[str] | None = None) -> bool:
    """Whether `stream` (standard output) is a terminal that shows colours."""
    return has_colour(stream or sys.stdout)


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, and whether its cells are right-aligned (numbers)."""

    title: str
    right: bool = False


@dataclass(frozen=True)
class Cell:
    """A cell with a style, shown on a terminal only: `loss`, `good` or `dim`."""

    text: str
    style: str = ""


STYLES = {"loss": "bold red", "good": "green", "dim": "dim", "head": "bold"}


def table(columns: Sequence[Column | str], rows: Sequence[Sequence[Cell | str]], rich: bool | None = None) -> str:
    """Format the rows as aligned columns below their headings, without a final line break.

    >>> print(table(["step", Column("rows", right=True)], [["clean", "10"], ["exact", "9"]], rich=False))
    step   rows
    clean    10
    exact     9
    """
    heads = [c if isinstance(c, Column) else Column(c) for c in columns]
    cells = [[c if isinstance(c, Cell) else Cell(c) for c in row] for row in rows]
    cells = [[Cell(printable(c.text), c.style) for c in row] for row in cells]
    if is_rich() if rich is None else rich:
        return _rich_table(heads, cells)
    every = [[h.title for h in heads], *([c.text for c in row] for row in cells)]
    widths = [max(cell_width(row[i]) for row in every) for i in range(len(heads))]
    lines = []
    for row in every:
        padded = [_pad(text, w, h.right) for text, w, h in zip(row, widths, heads)]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def styled(text: str, style: str) -> str:
    """`text` in a style of STYLES if standard output shows colours, else unchanged. Controls in it are replaced."""
    text = printable(text)
    if not is_rich():
        return text
    from rich.console import Console
    from rich.text import Text

    console = Console(force_terminal=True, width=max(200, len(text) + 1), highlight=False)
    with console.capture() as capture:
        console.print(Text(text, style=STYLES[style]), end="", soft_wrap=True)
    return capture.get()


def bar(part: float, whole: float, width: int = 12) -> str:
    """A bar of `part` in `whole`, in eighths of a character. A part above 0 is at least one eighth."""
    eighths = round(8 * width * part / whole) if whole else 0
    eighths = min(8 * width, max(eighths, 1 if part else 0))
    full, rest = divmod(eighths, 8)
    return "█" * full + ("▏▎▍▌▋▊▉"[rest - 1] if rest else "")


def cell_width(text: str) -> int:
    """Columns that a terminal gives to `text`: two for a Chinese or Japanese character, none for a combining one."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _pad(text: str, width: int, right: bool) -> str:
    blank = " " * (width - cell_width(text))
    return blank + text if right else text + blank


def _rich_table(heads: list[Column], rows: list[list[Cell]]) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold underline")
    for head in heads:
        grid.add_column(head.title, justify="right" if head.right else "left", no_wrap=head.right, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(c.text, style=STYLES.get(c.style, "")) for c in row))
    console = Console(force_terminal=True, highlight=False)
    with console.capture() as capture:
        console.print(grid)
    return capture.get().rstrip("\n")
