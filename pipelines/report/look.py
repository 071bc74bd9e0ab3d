"""Two texts side by side with their differences marked: coloured on a terminal, `[-gone-]` and `{+new+}` elsewhere.

Texts are compared by words; in scripts without spaces, each character is a word. Equal lines are hidden, except one before
and after each change.
"""

from __future__ import annotations

import difflib
import re
import shutil
from collections.abc import Iterator
from typing import NamedTuple

from corpusmill.pipelines.operations.look import Look, Pair
from corpusmill.pipelines.report.terminal import cell_width, is_rich, styled
from corpusmill.pipelines.wording import printable, skipped, some

RED, GREEN, DIM, OFF = "\x1b[1;31m", "\x1b[32m", "\x1b[2m", "\x1b[0m"
LONGEST = 6_000
"""Words of a changed stretch that are compared. A longer stretch is compared by lines."""
AUTOJUNK = 1_500
"""Words from which difflib may skip frequent words, which keeps it from taking square time."""
CONTEXT = 1
"""Equal lines that are shown before and after a change."""

_ALONE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3100-\u312f\u31a0-\u31bf\u31f0-\u31ff"
_ALONE += "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U000323af"
_WORD = re.compile(rf"\n|[{_ALONE}]|(?:(?![{_ALONE}])\w)+|[^\S\n]+|[^\w\s]")


class Bit(NamedTuple):
    """A stretch of text. `changed`: the other side lacks it."""

    text: str
    changed: bool


Line = list[Bit]


def render(look: Look, width: int | None = None, rich: bool | None = None) -> str:
    """All pairs, as wide as the terminal."""
    rich = is_rich() if rich is None else rich
    width = max(40, min(width or shutil.get_terminal_size((120, 24)).columns, 240))
    parts = [render_pair(pair, width, rich) for pair in look.pairs]
    if look.left_out:
        parts.append(skipped(look.left_out))
    return "\n\n".join(parts)


def render_pair(pair: Pair, width: int, rich: bool) -> str:
    """One document: its id, what was done to it, and its lines side by side."""
    origin = f" from {printable(pair.parent)}" if pair.parent else ""
    head = f"{printable(pair.id)}{origin} ({printable(pair.source)})"
    lines = [styled(head, "head") if rich else head]
    lines += [_dim(printable(pair.note), rich)] if pair.note else []
    if pair.before is None:
        lines.append(_dim("its parent is not in the snapshot; only the document is shown", rich))
    column = (width - 3) // 2
    left, right = pair.before or "", pair.after or ""
    for shown in _folded(list(side_by_side(left, right)), rich):
        lines += [shown] if isinstance(shown, str) else _row(*shown, column, rich)
    return "\n".join(line.rstrip() for line in lines)


def words(text: str) -> list[str]:
    """Split the text into words, blanks, marks and line breaks. Joined, they are the text again.

    >>> words("Two words,\\n数据")
    ['Two', ' ', 'words', ',', '\\n', '数', '据']
    """
    return _WORD.findall(text)


def side_by_side(before: str, after: str) -> Iterator[tuple[Line, Line]]:
    """Lines of both texts side by side. A line break that both texts have ends a line on both sides."""
    a, b = words(before), words(after)
    left: Line = []
    right: Line = []
    for same, old, new in _stretches(a, b):
        if not same:
            left += [Bit(old, True)] if old else []
            right += [Bit(new, True)] if new else []
            continue
        first, *rest = old.split("\n")
        left.append(Bit(first, False))
        right.append(Bit(first, False))
        for piece in rest:
            yield left, right
            left, right = [Bit(piece, False)], [Bit(piece, False)]
    if any(bit.text for bit in left + right):
        yield left, right


def _stretches(a: list[str], b: list[str]) -> Iterator[tuple[bool, str, str]]:
    """(equal?, text before, text after), in order."""
    begin = 0
    while begin < min(len(a), len(b)) and a[begin] == b[begin]:
        begin += 1
    end = 0
    while end < min(len(a), len(b)) - begin and a[-1 - end] == b[-1 - end]:
        end += 1
    if begin:
        yield True, "".join(a[:begin]), "".join(b[:begin])
    x, y = a[begin : len(a) - end], b[begin : len(b) - end]
    if len(x) + len(y) > LONGEST:
        yield from _by_lines(x, y)
    elif x or y:
        yield from _matched(x, y)
    if end:
        yield True, "".join(a[len(a) - end :]), "".join(b[len(b) - end :])


def _matched(x: list[str], y: list[str]) -> Iterator[tuple[bool, str, str]]:
    matcher = difflib.SequenceMatcher(None, x, y, autojunk=len(x) + len(y) > AUTOJUNK)
    for what, i, j, k, m in matcher.get_opcodes():
        yield what == "equal", "".join(x[i:j]), "".join(y[k:m])


def _by_lines(x: list[str], y: list[str]) -> Iterator[tuple[bool, str, str]]:
    """A long stretch: match lines first, then the words between matching lines."""
    old, new = "".join(x).splitlines(keepends=True), "".join(y).splitlines(keepends=True)
    for what, i, j, k, m in difflib.SequenceMatcher(None, old, new).get_opcodes():
        before, after = "".join(old[i:j]), "".join(new[k:m])
        p, q = words(before), words(after)
        if what == "replace" and len(p) + len(q) <= LONGEST:
            yield from _matched(p, q)
        else:
            yield what == "equal", before, after


def _folded(rows: list[tuple[Line, Line]], rich: bool) -> Iterator[tuple[Line, Line] | str]:
    """The rows near a change, and one line that counts each hidden stretch."""
    touched = [any(bit.changed for bit in left + right) for left, right in rows]
    near = [any(touched[max(0, i - CONTEXT) : i + CONTEXT + 1]) for i in range(len(rows))]
    if not any(touched):
        near = [i < 8 for i in range(len(rows))]
    hidden = 0
    for row, shown in zip(rows, near, strict=True):
        if not shown:
            hidden += 1
            continue
        if hidden:
            yield _dim(f"  … {some(hidden, 'equal line')}", rich)
            hidden = 0
        yield row
    if hidden:
        yield _dim(f"  … {some(hidden, 'equal line')}", rich)


def _row(left: Line, right: Line, column: int, rich: bool) -> list[str]:
    """One line of both texts, wrapped to a column each."""
    old, new = _wrap(left, column, RED, "[-", "-]", rich), _wrap(right, column, GREEN, "{+", "+}", rich)
    height = max(len(old), len(new), 1)
    blank = " " * column
    old += [blank] * (height - len(old))
    new += [blank] * (height - len(new))
    return [f"{a} │ {b}" for a, b in zip(old, new, strict=True)]


def _wrap(line: Line, column: int, colour: str, opening: str, closing: str, rich: bool) -> list[str]:
    """Wrap a line to rows of exactly `column` cells. Colours end with a row and start again in the next."""
    rows: list[str] = []
    row, used = "", 0
    for text, changed in line:
        pieces = words(printable(text.replace("\n", "↵").replace("\t", "    ")))
        if changed and not rich and pieces:
            pieces[0] = opening + pieces[0]
            pieces[-1] += closing
        for word in pieces:
            for piece in _fitting(word, column):
                cells = cell_width(piece)
                if used + cells > column:
                    rows.append(row + " " * (column - used))
                    row, used = "", 0
                    if piece.isspace():
                        continue
                row += f"{colour}{piece}{OFF}" if rich and changed else piece
                used += cells
    return [*rows, row + " " * (column - used)] if row else rows


def _fitting(word: str, column: int) -> Iterator[str]:
    """Split a word into pieces that fit into a column."""
    while cell_width(word) > column:
        cut, cells = 0, 0
        while cells + cell_width(word[cut]) <= column:
            cells += cell_width(word[cut])
            cut += 1
        yield word[:cut]
        word = word[cut:]
    yield word


def _dim(text: str, rich: bool) -> str:
    return f"{DIM}{text}{OFF}" if rich else text
