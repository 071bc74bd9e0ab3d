"""Reading order of the lines of a page.

Most files draw text in reading order, and then that order stands: it keeps columns, tables and notes as their author had them.
Pieces of one line that are drawn at other heights (exponents, notes) are put together. Where lines of one column are drawn out of
order, the page is cut into columns and rows by its white space (XY-cut: Nagy and Seth 1984) and read from the top left.
"""

from __future__ import annotations

from corpusmill.transforms.sources.pdf.native import Line

_GUTTER = 0.8
"""Least width of the white space between columns, in heights of a line."""


def in_order(lines: list[Line]) -> list[Line]:
    """The lines of a page in reading order."""
    joined = _joined(lines)
    return _joined(_cut(joined, 0)) if _jumps(joined) else joined


def _joined(lines: list[Line]) -> list[Line]:
    """The lines, those put together that stand side by side without a gap."""
    out: list[Line] = []
    for line in lines:
        last = out[-1] if out else None
        if last and not last.broken and last.height > 0.1:
            height = min(last.height, line.height)
            overlap = min(last.top, line.top) - max(last.bottom, line.bottom)
            gap = line.left - last.right
            if overlap > 0.4 * height and -0.5 * height < gap < height:
                between = " " if gap > 0.2 * height else ""
                out[-1] = Line(
                    last.text + between + line.text,
                    last.left,
                    # the box of the larger piece, so that exponents do not raise a line
                    *((last.bottom, max(last.right, line.right), last.top) if last.height >= line.height
                      else (line.bottom, max(last.right, line.right), line.top)),
                    broken=line.broken,
                )  # fmt: skip
                continue
        out.append(line)
    return out


def _jumps(lines: list[Line]) -> bool:
    """Whether a line is drawn above an earlier one of its column. One at an end of the page is a header or footer."""
    jumps = 0
    for before, line in zip(lines[1:-2], lines[2:-1]):
        across = min(before.right, line.right) - max(before.left, line.left)
        width = min(before.right - before.left, line.right - line.left)
        jumps += line.bottom > before.top and across > 0.5 * width
    return jumps > 0


def _cut(lines: list[Line], depth: int) -> list[Line]:
    """The lines from the top left, by the widest white space."""
    if len(lines) < 2 or depth > 40:
        return sorted(lines, key=lambda line: (-line.top, line.left))
    height = sorted(line.height for line in lines)[len(lines) // 2]
    columns = _parts(lines, [(line.left, line.right) for line in lines], _GUTTER * height)
    if len(columns) > 1 and all(len(c) > 1 for c in columns):
        return [line for column in columns for line in _cut(column, depth + 1)]
    rows = _parts(lines, [(-line.top, -line.bottom) for line in lines], 0.0)
    if len(rows) == 1:
        return sorted(lines, key=lambda line: (-line.top, line.left))
    # rows that have the same columns belong together: split at a line that spans them
    groups: list[list[Line]] = []
    wide = max(line.right for line in lines) - min(line.left for line in lines)
    for row in rows:
        spans = max(line.right for line in row) - min(line.left for line in row) > 0.6 * wide and len(row) == 1
        if groups and not spans and not _spanning(groups[-1], wide):
            groups[-1] += row
        else:
            groups.append(list(row))
    if len(groups) == 1:
        return [line for row in rows for line in sorted(row, key=lambda line: line.left)]
    return [line for group in groups for line in _cut(group, depth + 1)]


def _spanning(group: list[Line], wide: float) -> bool:
    return len(group) == 1 and group[0].right - group[0].left > 0.6 * wide


def _parts(lines: list[Line], spans: list[tuple[float, float]], least: float) -> list[list[Line]]:
    """The lines in the groups that gaps of at least `least` between their spans make."""
    order = sorted(range(len(lines)), key=lambda i: spans[i])
    out = [[lines[order[0]]]]
    end = spans[order[0]][1]
    for i in order[1:]:
        if spans[i][0] - end > least:
            out.append([])
        out[-1].append(lines[i])
        end = max(end, spans[i][1])
    return out
