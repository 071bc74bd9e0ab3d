"""Lines of pages to text: paragraphs are joined and hyphens at line ends are undone, by stated rules.

paragraph   A line goes on with the next one if that one's first word did not fit behind it in the width of its column, and
            if they stand no further apart than one and a half lines. Else the line break stays. A wider gap is a blank line.
hyphen      A hyphen at the end of a line is taken out, and the word joined; it stays before a capital or a digit, and
            where the document writes the word with a hyphen elsewhere more often than without.
scripts     No space is put between characters of scripts that have none between words.
leaders     Dots between a heading and its page number become a tab, and the line ends behind them.
"""

from __future__ import annotations

import re
from collections import Counter
from statistics import median

from corpusmill.transforms.sources.pdf.native import Line

_WORDS = re.compile(r"[^\W_]+(?:[-\u2010][^\W_]+)*")
_WIDE = re.compile(
    "[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff\u0e00-\u0eff\u1780-\u17ff]"
)
_LEADERS = re.compile(r"\s*(?:\.\s?){5,}\s*")
_HANGUL = re.compile("[\uac00-\ud7af]")


def text_of(pages: list[list[Line]], between: str = "\n\n") -> tuple[str, list[int]]:
    """(the text, where in it each page begins, in characters). `between` divides pages whose paragraphs do not go on."""
    words = _vocabulary(pages)
    out: list[str] = []
    starts: list[int] = []
    size = 0
    last: tuple[Line, float] | None = None
    for lines in pages:
        pitch, rights = _measures(lines)
        # where the first line of the page goes on with a word or a paragraph, the page begins behind the joint
        starts.append(size)
        for number, (line, right) in enumerate(zip(lines, rights)):
            if "..." in line.text or ". . ." in line.text:
                line = line._replace(text=_LEADERS.sub("\t", line.text).strip() or "...")
            text = line.text
            if last is not None:
                head, joint = _joint(last[0], line, last[1], pitch if number else None, words)
                if number == 0 and joint == "\n":
                    joint = between
                if head is not None:  # the word that a hyphen divides
                    size += len(head) - len(out[-1])
                    out[-1] = head
                out.append(joint)
                size += len(joint)
            if number == 0:
                starts[-1] = size
            out.append(text)
            size += len(text)
            last = line, right
    return "".join(out), starts


def _vocabulary(pages: list[list[Line]]) -> Counter[str]:
    """How often each word, with its hyphens, stands within a line."""
    if not any(line.broken or line.text.endswith(("-", "\u2010")) for lines in pages for line in lines):
        return Counter()
    counts: Counter[str] = Counter()
    for lines in pages:
        for line in lines:
            counts.update(_WORDS.findall(line.text.lower()))
    return counts


def _measures(lines: list[Line]) -> tuple[float, list[float]]:
    """(distance from line to line, the right border of each line's column), in points."""
    steps = [a.bottom - b.bottom for a, b in zip(lines, lines[1:])]
    steps = [s for s, line in zip(steps, lines) if 0.5 * line.height < s < 3 * line.height]
    found: dict[int, float] = {}
    for line in lines:
        left = round(line.left)
        if left not in found:
            # lines of the same column begin near each other; a line across two columns does not count for the right one
            found[left] = max(
                o.right for o in lines if abs(o.left - line.left) <= 0.25 * (o.right - o.left) or o is line
            )
    rights = [max(line.right, found[round(line.left)]) for line in lines]
    pitch = median(steps) if len(steps) > 2 else 1.3 * lines[0].height if lines else 0.0
    return pitch, rights


def _joint(last: Line, line: Line, right: float, pitch: float | None, words: Counter[str]) -> tuple[str | None, str]:
    """(what the last line's text becomes, or None if it stays; what is put between it and the next)."""
    hyphen = last.broken or (len(last.text) > 1 and last.text[-1] in "-\u2010" and last.text[-2].isalnum())
    step = last.bottom - line.bottom
    near = pitch is None or step <= 0 or step < 1.5 * max(pitch, 0.8 * last.height)
    if hyphen and near and line.text[:1].isalnum():
        stem = last.text if last.broken else last.text[:-1]
        return (stem, "") if _joins(stem, line.text, words) else (stem + "-", "")
    if last.broken:
        return last.text + "-", "\n" if near else "\n\n"
    if not near:
        return None, "\n\n"
    width = (last.right - last.left) / max(1, len(last.text))
    first = line.text.split(None, 1)[0]
    wide = bool(_WIDE.match(last.text[-1]) and _WIDE.match(first[0]) and not _HANGUL.match(first[0]))
    room = right - last.right
    fits = room > (2 if wide else len(first) + 1) * width
    same = 0.75 < line.height / last.height < 1.33
    if fits or not same or "\t" in last.text or (pitch is not None and step <= 0 and line.left <= last.left):
        return None, "\n"
    return None, "" if wide else " "


def _joins(stem: str, text: str, words: Counter[str]) -> bool:
    """Whether the word around a hyphen is one without it."""
    before, after = re.search(r"[^\W_]+(?:[-\u2010][^\W_]+)*\Z", stem), _WORDS.match(text)
    if before is None or after is None or not after[0][0].isalpha() or not before[0][-1].isalpha():
        return False
    if after[0][0].isupper() and not before[0].isupper():
        return False
    joined = f"{before[0]}{after[0]}".lower()
    return words[joined] >= words[f"{before[0]}-{after[0]}".lower()]
