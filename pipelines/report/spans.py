"""Marks the parts of a dropped document that broke a rule, as far as the text alone shows them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

_PATTERNS = {
    "hash_ratio": r"#",
    "ellipsis_ratio": r"…|\.\.\.",
    "ellipsis_lines": r"(?:…|\.\.\.)[ \t]*$",
    "bullet_lines": r"^[ \t]*[-*•●‣]",
    "symbol_word_ratio": r"[#…]|\.\.\.",
    "curly_bracket": r"[{}]",
    "lorem_ipsum": r"lorem ipsum",
    "javascript": r"javascript",
}
"""Rule without `min_`, `max_` or `drop_` -> what it counts."""
MOST = 200
"""Marks in one text."""


def spans(reason: str, text: str) -> list[tuple[int, int]]:
    """(begin, end) of the parts of `text` that a rule counts, in order and apart; none if it counts nothing visible.

    >>> spans("max_hash_ratio", "a # b")
    [(2, 3)]
    """
    rule = re.sub(r"^(?:min|max|drop)_", "", reason.replace("-", "_"))
    found = _finder(rule)
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(found(text)) if found else ():
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        elif begin < end:
            merged.append((begin, end))
    return merged[:MOST]


def pieces(reason: str, text: str) -> list[tuple[str, bool]]:
    """`text` in pieces (text, marked)."""
    out: list[tuple[str, bool]] = []
    last = 0
    for begin, end in spans(reason, text):
        out += [(text[last:begin], False)] if begin > last else []
        out.append((text[begin:end], True))
        last = end
    return [*out, (text[last:], False)] if last < len(text) else out


def _finder(rule: str) -> Callable[[str], Iterator[tuple[int, int]]] | None:
    if rule in _PATTERNS:
        pattern = re.compile(_PATTERNS[rule], re.MULTILINE | re.IGNORECASE)
        return lambda text: (m.span() for m in pattern.finditer(text))
    if match := re.fullmatch(r"(?:dup|top)_(\d+)_?gram(?:s|_chars?)?", rule):
        return lambda text: _repeated_words(text, int(match[1]))
    if re.match(r"dup(?:licate)?_?(?:line|paragraph)", rule):
        separator = r"\n\s*\n" if "paragraph" in rule else r"\n"
        return lambda text: _repeated_blocks(text, separator)
    return None


def _repeated_words(text: str, n: int) -> Iterator[tuple[int, int]]:
    """Runs of n words that occur more than once."""
    words = list(re.finditer(r"\S+", text))
    grams = [tuple(w.group() for w in words[i : i + n]) for i in range(len(words) - n + 1)]
    counts = Counter(grams)
    yield from ((words[i].start(), words[i + n - 1].end()) for i, g in enumerate(grams) if counts[g] > 1)


def _repeated_blocks(text: str, separator: str) -> Iterator[tuple[int, int]]:
    """Lines or paragraphs that stood in the text before."""
    seen: set[str] = set()
    begin = 0
    for end in [*(m.start() for m in re.finditer(separator, text)), len(text)]:
        block = text[begin:end].strip()
        if block and block in seen:
            yield begin + len(text[begin:end]) - len(text[begin:end].lstrip()), end
        seen.add(block)
        begin = end
