"""Links of wikitext: what is shown of them, and the categories that they name."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

DEPTH = 40
_TOKEN = re.compile(r"\[\[|\]\]")
_EXTERNAL = re.compile(r"\[(?:https?:|ftp:|mailto:|news:|//)[^\s\[\]<>]+(?:[ \t]+([^\[\]\n]*))?\]", re.IGNORECASE)
_LANGUAGE = re.compile(r"(?:[a-z]{2,3}|simple|[a-z]{2,3}-[a-z-]{2,12})\Z")


@dataclass(frozen=True)
class Names:
    """Names of namespaces of a wiki, in lower case: of files, of categories, and all of them."""

    files: frozenset[str] = frozenset(["file", "image", "media"])
    categories: frozenset[str] = frozenset(["category"])
    every: frozenset[str] = frozenset()


@dataclass
class Links:
    """Replaces links, and collects categories."""

    names: Names
    categories: list[str] = field(default_factory=list)

    def replace(self, text: str) -> str:
        """The text with what its links show. Time goes with the length of the text."""
        stack: list[list[str]] = [[]]
        at = 0
        for found in _TOKEN.finditer(text):
            stack[-1].append(text[at : found.start()])
            at = found.end()
            if found[0] == "[[":
                stack.append([])
            elif len(stack) > 1:
                body = "".join(stack.pop())
                stack[-1].append(self._shown(body) if len(stack) <= DEPTH else "")
            else:
                stack[-1].append("]]")
        stack[-1].append(text[at:])
        text = "[[".join("".join(pieces) for pieces in stack) if len(stack) > 1 else "".join(stack[0])
        return _EXTERNAL.sub(lambda m: m[1] or "", text)

    def _shown(self, body: str) -> str:
        target, pipe, label = body.partition("|")
        target = target.strip()
        if "\n" in target or not target:
            return f"[[{body}]]" if target else ""
        visible = target.startswith(":")
        target = target.removeprefix(":").strip()
        space, colon, rest = target.partition(":")
        space = space.strip().replace("_", " ").lower()
        if colon and not visible:
            if space in self.names.files:
                return ""
            if space in self.names.categories:
                self.categories.append(rest.strip().replace("_", " "))
                return ""
            if not pipe and _LANGUAGE.match(space) and space not in self.names.every:
                return ""  # the same page in another language
        if not pipe:
            return target.replace("_", " ") if not target.startswith("#") else target[1:]
        if label.strip():
            return label
        # a pipe with nothing behind it hides namespace and brackets
        return re.sub(r"\s*(?:\([^()]*\)|,[^,]*)\Z", "", rest if colon else target)
