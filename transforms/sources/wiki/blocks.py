"""Tags of wikitext whose content is no wikitext: kept as it is (code, formulas) or dropped (footnotes, galleries)."""

from __future__ import annotations

import html
import re

_KEPT = ("nowiki", "pre", "syntaxhighlight", "source", "math", "chem", "ce")
_DROPPED = ("ref", "references", "gallery", "timeline", "score", "templatestyles", "imagemap", "graph", "mapframe", "maplink",
            "hiero", "inputbox", "categorytree", "indicator", "section", "charinsert", "languages", "includeonly")  # fmt: skip
_OPEN = re.compile(rf"<!--|<({'|'.join(_KEPT + _DROPPED)})\b([^<>]*)>", re.IGNORECASE)
_CLOSE = {name: re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in _KEPT + _DROPPED}
_LANGUAGE = re.compile(r"lang\s*=\s*[\"']?([\w+#-]+)")
MARK = "\x7f"
GONE = "\x1a"
"""Stands where something was dropped, until `templates.expand` has closed the gap."""


class Blocks:
    """The blocks that were taken out of a text; `restore` puts them back."""

    def __init__(self, markdown: bool) -> None:
        self._markdown = markdown
        self._held: list[str] = []

    def take_out(self, text: str) -> str:
        """The text with a mark for each block that stays, and without comments and blocks that do not."""
        text = text.replace(MARK, "").replace(GONE, "")
        out, at, missing = [], 0, dict.fromkeys(_CLOSE, False)
        while (found := _OPEN.search(text, at)) is not None:
            begin, end = found.span()
            out.append(text[at:begin])
            if found[1] is None:
                at = _end_of_comment(text, begin, end, out)
                continue
            name, inside = found[1].lower(), ""
            if not found[2].rstrip().endswith("/"):
                # where one tag is not closed, none behind it is, and need not be looked for
                close = None if missing[name] else _CLOSE[name].search(text, end)
                if close is None:
                    missing[name] = True
                    at = end
                    continue
                inside, end = text[end : close.start()], close.end()
            if name in _KEPT and inside:
                out.append(f"{MARK}{len(self._held)}{MARK}")
                self._held.append(self._shown(name, found[2], inside))
            elif name == "ref":
                out.append(GONE)
            at = end
        out.append(text[at:])
        return "".join(out)

    def restore(self, text: str) -> str:
        """Put the blocks back."""
        return re.sub(rf"{MARK}(\d+){MARK}", lambda m: self._held[int(m[1])], text)

    def _shown(self, name: str, attributes: str, inside: str) -> str:
        if name == "nowiki":
            return html.unescape(inside)
        if name in ("math", "chem", "ce"):
            formula = html.unescape(inside).strip()
            formula = formula if name == "math" else rf"\ce{{{formula}}}"
            return f"$${formula}$$" if "block" in attributes else f"${formula}$"
        code = inside if name != "pre" else html.unescape(re.sub(r"</?nowiki\s*/?>", "", inside))
        code = code.strip("\n")
        if not self._markdown or "inline" in attributes:
            return code if "\n" not in code else f"\n{code}\n"
        language = _LANGUAGE.search(attributes)
        return f"\n```{language[1] if language else ''}\n{code}\n```\n"


def _end_of_comment(text: str, begin: int, end: int, out: list[str]) -> int:
    """Where the text goes on behind a comment; a line that holds nothing else goes with it."""
    close = text.find("-->", end)
    if close < 0:
        return len(text)
    close += 3
    alone = (begin == 0 or text[begin - 1] == "\n") and text[close : close + 1] == "\n"
    return close + 1 if alone else close
