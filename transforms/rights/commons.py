"""Texts of Creative Commons without their title: which licence it is, and of which version, by what the text says."""

from __future__ import annotations

from corpusmill.transforms.rights.gnu import Found
from corpusmill.transforms.rights.phrases import pattern

_TEXT = pattern("terms of this creative commons public license ccpl or license the work is protected by copyright")
_ENDS = pattern("creative commons may be contacted at")
_LONGEST = 30_000
_PARTS = (
    ("NC", pattern("primarily intended for or directed toward commercial advantage")),
    ("SA", pattern("license elements means")),
)
_DERIVED = pattern("to create and reproduce derivative|adaptations")
# each version has words that those before it lack
_VERSIONS = (
    ("3.0", pattern("adaptation means a work based upon the work")),
    ("3.0", pattern("collection means a collection of literary or artistic works")),
    ("2.5", pattern("designate another party or parties")),
    ("2.0", pattern("licensor offers the work as is|is and")),
    ("1.0", pattern("by offering the work for public release under this license")),
)


def commons(text: str) -> list[Found]:
    """The licences of Creative Commons (1.0 to 3.0) whose text stands in a text in lower case."""
    out = []
    for begin in _TEXT.finditer(text):
        end = _ENDS.search(text, begin.end(), begin.end() + _LONGEST)
        stop = end.end() if end else min(len(text), begin.end() + _LONGEST)
        body = text[begin.start() : stop]
        version = next((v for v, says in _VERSIONS if says.search(body)), None)
        if version is None:
            continue
        parts = ["BY", *(name for name, says in _PARTS if says.search(body))]
        if not _DERIVED.search(body):
            parts.append("ND")
        out.append(Found(f"CC-{'-'.join(parts)}-{version}", begin.start(), begin.end(), "text"))
    return out
