"""Wikitext as plain text or Markdown: headings, lists, tables, code and formulas; links as what they show."""

from __future__ import annotations

import html
import re

from corpusmill.transforms.sources.wiki.blocks import Blocks
from corpusmill.transforms.sources.wiki.links import Links, Names
from corpusmill.transforms.sources.wiki.tables import lines_of
from corpusmill.transforms.sources.wiki.templates import expand

_HEADING = re.compile(r"(={1,6})[ \t]*(.*?[^=\s].*?)[ \t]*\1[ \t]*\Z")
_LIST = re.compile(r"([*#:;]+)[ \t]*(.*)\Z")
_BREAK = re.compile(
    r"<(?:br|hr|/?p|/?div|/?blockquote|/?center|/?poem|/?ul|/?ol|/?dl|/tr|/?table)\b[^<>]*>", re.IGNORECASE
)
_ITEM = re.compile(r"<(?:li|dt|dd)\b[^<>]*>", re.IGNORECASE)
_CELL = re.compile(r"</t[dh]\s*>", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
_SWITCH = re.compile(r"__[A-Z]{3,30}__")
_VARIANT = re.compile(r"-\{(?:([^{}|:]{0,80})\|)?(?:[a-z]{2,3}(?:-[a-z]+)*:)?([^{};]*)[^{}]*\}-")
_SIGNED = re.compile(r"~{3,5}")
_RULE = re.compile(r"^-{4,}", re.MULTILINE)
_EMPTY = re.compile(r"[ \t]*[(（][\s,;:،、，/–-]*[)）]")
_OPEN = re.compile(r"([(（])[ \t]*(?:[,;，；][ \t]*)+")
_CLOSE = re.compile(r"(?:[ \t]*[,;，；])+[ \t]*([)）])")


def render(text: str, title: str = "", names: Names | None = None, markdown: bool = False) -> tuple[str, list[str]]:
    """The text of a page, and its categories.

    >>> render("'''Rain''' is [[water|wet]].{{Infobox|a=b}}\\n== Use ==\\n* [[Sea (water)|]]\\n== Notes ==\\n{{reflist}}")[0]
    'Rain is wet.\\n\\nUse\\n\\n- Sea'

    Args:
        names: names of namespaces, as the dump gives them.
        markdown: headings, tables and code as Markdown.
    """
    blocks, links = Blocks(markdown), Links(names or Names())
    text = expand(blocks.take_out(text), title)
    text = _BREAK.sub("\n", _ITEM.sub("\n* ", _CELL.sub(" | ", text)))
    text = links.replace(text)
    text = _VARIANT.sub(_variant, _SWITCH.sub("", text)) if "-{" in text or "__" in text else text
    text = _RULE.sub("\n", _SIGNED.sub("", text)) if "~~~" in text or "----" in text else text
    text = _TAG.sub("", re.sub(r"'{2,}", "", text))
    lines = _sections(_formed(lines_of(text, markdown), markdown))
    out = html.unescape("\n".join(lines)).replace("\xa0", " ").replace("\u200b", "")
    out = _CLOSE.sub(r"\1", _OPEN.sub(r"\1", _EMPTY.sub("", out)))
    # as browsers show it: blanks in a row are one, and none stand at the end of a line
    out = re.sub(r"(?<=\S)[ \t]+(?=\n|\Z)", "", re.sub(r"(?<=\S)[ \t]{2,}(?=\S)", " ", out))
    out = blocks.restore(out)
    return re.sub(r"\n{3,}", "\n\n", out).strip(), links.categories


def _variant(found: re.Match[str]) -> str:
    """The first form of a text in several variants of a language. Flags: H only defines it, T is the title, `-` ends it."""
    return "" if (found[1] or "").strip() in ("H", "T", "-") else found[2].strip()


def _formed(lines: list[str], markdown: bool) -> list[tuple[int, str]]:
    """(level of the heading or 0, line): headings and lists in their form."""
    out: list[tuple[int, str]] = []
    numbers: list[int] = []
    for line in lines:
        heading = _HEADING.match(line) if line.startswith("=") else None
        if heading is not None:
            level = len(heading[1])
            out += [(0, ""), (level, f"{'#' * level} {heading[2]}" if markdown else heading[2]), (0, "")]
            continue
        item = _LIST.match(line) if line[:1] in "*#:;" and line else None
        if item is None:
            numbers = []
            out.append((0, line.strip() if line.startswith(" ") else line))
            continue
        marks, content = item[1], item[2]
        if not content:
            continue
        depth = min(len(marks), 12)
        numbers = (numbers + [0] * depth)[:depth]
        numbers[-1] = numbers[-1] + 1 if marks[-1] == "#" else 0
        sign = {"*": "- ", "#": f"{numbers[-1]}. "}.get(marks[-1], "")
        out.append((0, "  " * (depth - 1 if sign else 0) + sign + content))
    return out


def _sections(lines: list[tuple[int, str]]) -> list[str]:
    """The lines without headings of sections that hold nothing."""
    out: list[str] = []
    below = 0  # level of what is kept next below: 7 for text, more than a heading's own if it lies in its section
    for level, line in reversed(lines):
        if level and below <= level:
            continue
        if level or line.strip():
            below = level or 7
        out.append(line)
    return out[::-1]
