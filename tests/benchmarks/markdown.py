"""`extract` as Markdown against the sources of Debian's HTML manuals: code blocks byte for byte, headings and lists in order.

    apt-get install python3.11-doc
    python tests/benchmarks/markdown.py [--missing] [learned | all-text] [FOLDER]

FOLDER is another manual that Sphinx wrote, with its `_sources`. Truth is the reStructuredText of each page: literal blocks (`::`,
code-block, doctest, and interactive sessions), section titles, and the first words of list items. Tables written as lists are no
lists. A code block counts if a fenced block of the page has the same bytes; order is the longest common subsequence of headings,
and of items, over those of the source.
"""

from __future__ import annotations

import re
import sys
import textwrap
import time
from collections import Counter
from difflib import SequenceMatcher
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pyarrow as pa

from corpusmill.transforms.web.extract import Extract

ROOT = Path("/usr/share/doc/python3.11/html")
_LITERAL = re.compile(r"^( *)(?:\.\. (?:code-block|sourcecode|doctest|code)::.*|(?! |\.\.).*::)$")
_OPTION = re.compile(r"^\s*:[a-z-]+:.*$")
_ITEM = re.compile(r"^(\s*)(?:[*-]|#\.|\d+\.) +(\S.*)$")
_UNDER = re.compile(r"^([=\-*~^\"#'+])\1{2,}\s*$")


def plain(text: str) -> str:
    """A line of reStructuredText without inline markup."""
    text = re.sub(r":pep:`([^`]*)`", r"PEP \1", text)
    text = re.sub(r":[a-z:+-]+:`~(?:[^`]*\.)?([^`.]*)`", r"\1", text)
    text = re.sub(r":[a-z:+-]+:`[!~]?([^`<]*?)(?:\s*<[^>]*>)?`", r"\1", text)
    text = re.sub(r"``([^`]*)``|`([^`<]*?)(?:\s*<[^>]*>)?`_{0,2}", lambda m: m[1] or m[2] or "", text)
    text = re.sub(r"\b([A-Za-z][\w-]*?)__?(?!\w)", r"\1", text)  # a reference
    return re.sub(r"\W+", " ", re.sub(r"\\(.)", r"\1", text.replace("*", ""))).strip().lower()


def truth(source: str) -> tuple[list[str], list[str], list[str]]:
    """(code blocks, headings, first three words of list items)."""
    lines = source.split("\n")
    code, headings, items = [], [], []
    i = 0
    while i < len(lines):
        line = lines[i]
        literal = _LITERAL.match(line)
        session = re.match(r"^( *)>>> ", line)
        if literal or session:
            indent = len((literal or session)[1])  # type: ignore[index]
            j = i + 1 if literal else i
            while literal and j < len(lines) and (not lines[j].strip() or _OPTION.match(lines[j])):
                j += 1
            end = j
            while end < len(lines) and (
                (not lines[end].strip() and literal)
                or len(lines[end]) - len(lines[end].lstrip()) > indent - (not literal)
            ):
                if session and not literal and not lines[end].strip():
                    break
                end += 1
            block = textwrap.dedent("\n".join(lines[j:end])).strip("\n")
            block = re.sub(r"(?m)\s*# ?doctest:.*$", "", block)  # Sphinx takes these off
            hidden = line.strip().startswith(".. ") and "-->" in line
            if block and not hidden:
                code.append("\n".join(x.rstrip() for x in block.split("\n")))
            i = max(end, i + 1)
            continue
        below = lines[i + 1] if i + 1 < len(lines) else ""
        titled = line.strip() and not line.startswith((" ", "..")) and _UNDER.match(below) and not _UNDER.match(line)
        if titled and len(below.strip()) >= len(line.strip()) - 3:
            headings.append(plain(line))
            i += 2
            continue
        if line.startswith(".. ") and not line.startswith(
            (".. note", ".. warning", ".. versionadded", ".. versionchanged")
        ):
            # the body of a directive that is not shown as it stands (index, comment, table)
            whole = line.startswith((".. list-table", ".. parsed-literal"))  # items in it are cells, or lines of code
            i += 1
            while i < len(lines) and (
                (lines[i].startswith("   ") and (whole or _OPTION.match(lines[i]))) or (whole and not lines[i].strip())
            ):
                i += 1
            continue
        item = _ITEM.match(line)
        if item and (not i or not lines[i - 1].strip() or _ITEM.match(lines[i - 1])):
            items.append(" ".join(plain(item[2]).split()[:3]))
        i += 1
    return code, headings, [x for x in items if x]


def found(markdown: str) -> tuple[list[str], list[str], list[str]]:
    """The same of Markdown."""
    code, headings, items = [], [], []
    fence = ""
    block: list[str] = []
    for line in markdown.split("\n"):
        if fence:
            if line == fence:
                code.append("\n".join(x.rstrip() for x in block).strip("\n"))
                fence = ""
            else:
                block.append(line)
        elif opened := re.match(r"(`{3,})[\w+-]*$", line):
            fence, block = opened[1], []
        elif heading := re.match(r"#{1,6} (.*)", line):
            headings.append(
                re.sub(r"^[\d ]+ (?=\w)", "", re.sub(r"\W+", " ", heading[1].replace("`", ""))).strip().lower()
            )
        elif item := _ITEM.match(line.removeprefix("> ")):
            items.append(" ".join(re.sub(r"\W+", " ", item[2]).strip().lower().split()[:3]))
    return code, headings, items


def common(a: list[str], b: list[str]) -> int:
    return sum(m.size for m in SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks())


def main() -> None:
    method = next((a for a in sys.argv[1:] if a in ("learned", "all-text")), "all-text")
    root = next((Path(a) for a in sys.argv[1:] if "/" in a), ROOT)
    pages, sources = [], []
    for page in sorted(root.glob("**/*.html")):
        for ending in (".rst.txt", ".txt"):
            source = root / "_sources" / page.relative_to(root).with_suffix(ending)
            if source.exists():
                pages.append(page)
                sources.append(source.read_text(encoding="utf-8"))
                break
    html = [p.read_bytes() for p in pages]
    step = Extract(column="html", format="markdown", method=method, drop=())  # type: ignore[arg-type]
    step(pa.record_batch({"id": ["0"], "html": html[:1]}))
    begin = time.process_time()
    texts = step(pa.record_batch({"id": [str(p) for p in pages], "html": html})).column("text").to_pylist()
    seconds = time.process_time() - begin
    sums = [[0, 0], [0, 0], [0, 0]]
    missing: list[str] = []
    for page, source, text in zip(pages, sources, texts, strict=True):
        wanted, got = truth(source), found(text)
        left = list(got[0])
        for block in wanted[0]:
            sums[0][1] += 1
            if block in left:
                left.remove(block)
                sums[0][0] += 1
            else:
                missing.append(f"--- {page.name}\n{block}")
        for k in (1, 2):
            sums[k][0] += common(wanted[k], got[k])
            kind = ("", "heading", "item")[k]
            missing += [f"--- {page.name}: {kind} {each}" for each in (Counter(wanted[k]) - Counter(got[k])).elements()]
            sums[k][1] += len(wanted[k])
    names = ("code blocks byte-exact", "headings in order", "list items in order")
    print(f"{method}: {len(pages)} pages, {len(pages) / seconds:.0f} pages per CPU s; " + ", ".join(
        f"{name} {hits} of {total} ({hits / total:.1%})" for name, (hits, total) in zip(names, sums)))  # fmt: skip
    if "--missing" in sys.argv:
        print("\n".join(missing))


if __name__ == "__main__":
    main()
