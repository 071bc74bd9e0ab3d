"""Headers, footers and page numbers: lines at the edge of pages that say the same on several, or count the pages.

A line is taken off if it is one of the two highest or two lowest of its page, has at most 120 characters, and

    counts    it is a number (roman or not) that goes up with the pages, on three pages or more; or it holds one, and does so on
              a quarter of all pages, or on three where its other words are the same (numbers of notes and of chapters go up
              with the pages here and there); or
    repeats   the same text stands at that edge of three pages or more, and of a tenth of all pages.
"""

from __future__ import annotations

import re
from collections import Counter

from corpusmill.transforms.sources.pdf.native import Line

_LONGEST = 120
_LEAST = 3
_ROMAN = re.compile(r"(?=[ivxlc])(c{0,3})(xc|xl|l?x{0,3})(ix|iv|v?i{0,3})\Z")
_NUMBERS = re.compile(r"\d+|^[\W_]*[ivxlc]+[\W_]*$")


def without_furniture(pages: list[list[Line]]) -> list[list[Line]]:
    """The pages without headers, footers and page numbers."""
    edges = [_edges(lines) for lines in pages]
    counts: Counter[tuple[bool, str, int]] = Counter()
    alike: Counter[tuple[bool, str, int, str]] = Counter()
    repeats: Counter[tuple[bool, str]] = Counter()
    for number, edge in enumerate(edges):
        lines = pages[number]
        own = {(above, *o, _masked(lines[i].text)) for i, above in edge for o in _offsets(lines[i].text, number)}
        alike.update(own)
        counts.update({key[:3] for key in own})
        repeats.update({(above, lines[i].text.lower()) for i, above in edge})
    out = []
    for number, (lines, edge) in enumerate(zip(pages, edges)):
        gone = set()
        for i, above in edge:
            text = lines[i].text
            least = _LEAST if _masked(text).strip("-–—[]()|., ") in ("", "#") else max(_LEAST, len(pages) / 4)
            for offset in _offsets(text, number):
                if counts[above, *offset] >= least or alike[above, *offset, _masked(text)] >= _LEAST:
                    gone.add(i)
            if repeats[above, text.lower()] >= max(_LEAST, len(pages) / 10):
                gone.add(i)
        out.append([line for i, line in enumerate(lines) if i not in _whole(gone, edge)])
    return out


def _edges(lines: list[Line]) -> list[tuple[int, bool]]:
    """(number of the line, whether it is above) of the two highest and two lowest lines, from the edge inwards."""
    order = sorted(range(len(lines)), key=lambda i: -lines[i].top)
    above = order[:2]
    below = [i for i in reversed(order[-2:]) if i not in above]
    return [(i, i in above) for i in above + below if len(lines[i].text) <= _LONGEST]


def _whole(gone: set[int], edge: list[tuple[int, bool]]) -> set[int]:
    """`gone`, without lines that stand further in than one that stays."""
    out = set()
    for side in (True, False):
        for i, above in edge:
            if above is side:
                if i not in gone:
                    break
                out.add(i)
    return out


def _masked(text: str) -> str:
    """The words of a line, with its numbers alike."""
    return _NUMBERS.sub("#", " ".join(text.lower().split()))


def _offsets(text: str, number: int) -> set[tuple[str, int]]:
    """(kind of number, that number - number of the page): of the first and last word of a line, and of all words of a short one."""
    words = [plain for word in text.split() if (plain := word.strip("-–—[]()|.,"))]
    found = set()
    for word in words if len(words) <= 6 else (words[0], words[-1]):
        if word.isascii() and word.isdigit() and len(word) < 6:
            found.add(("arabic", int(word) - number))
        elif len(words) == 1 and (roman := _ROMAN.match(word.lower())):
            found.add(("roman", _value(roman[0]) - number))
    return found


def _value(roman: str) -> int:
    values = [{"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}[c] for c in roman]
    return sum(-v if v < max(values[i:]) else v for i, v in enumerate(values))
