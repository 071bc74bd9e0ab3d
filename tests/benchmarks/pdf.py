"""PDF against HTML of the same manuals: words, reading order, and pages per CPU second beside pypdfium2 alone and pdf-oxide.

    apt-get install r-doc-pdf r-doc-html
    python tests/benchmarks/pdf.py [--peers]

Truth is the HTML of R's manuals without what only one of the two has: menus and navigation of the HTML, and the tables of contents
and indexes, which say page numbers in print. Print spells out the addresses of links, so truth has them, too. Words are compared
as multisets. Order is the share of the 5-grams of words that occur once in both which lie on the longest increasing subsequence.
pypdfium2 alone is its text page by page, as it comes.
"""

from __future__ import annotations

import bisect
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from corpusmill.transforms.sources.pdf.child import read

MANUALS = Path("/usr/share/R/doc/manual")
NAMES = ("R-FAQ", "R-admin", "R-data", "R-exts", "R-intro", "R-ints", "R-lang")
_LEADERS = re.compile(r"^.*(?:\t|(?:\. ?){5,}).*$", re.MULTILINE)
_WORD = re.compile(r"\w+")


def truth(name: str) -> list[str]:
    from lxml import html

    body = html.parse(str(MANUALS / f"{name}.html")).getroot().body
    only_html = (
        '//div[@class="header" or @class="contents"]|//table[@class="menu" or starts-with(@class,"index")]|//style'
    )
    for element in body.xpath(only_html):
        element.drop_tree()
    for link in body.iter("a"):
        address = link.get("href") or ""
        if address.startswith(("http", "ftp")) and address not in (link.text_content() or ""):
            link.tail = f" ({address}) {link.tail or ''}"
    return words(" ".join(body.itertext()))


def words(text: str) -> list[str]:
    return _WORD.findall(_LEADERS.sub("", text.replace("\xad", "").replace("\ufffe", "")).lower())


def word_f(found: list[str], wanted: list[str]) -> float:
    a, b = Counter(found), Counter(wanted)
    return 2 * sum((a & b).values()) / (len(found) + len(wanted))


def order(found: list[str], wanted: list[str], n: int = 5) -> float:
    first, second = ([tuple(w[i : i + n]) for i in range(len(w) - n + 1)] for w in (found, wanted))
    once, place_of = Counter(first), {}
    for place, gram in enumerate(second):
        place_of[gram] = -1 if gram in place_of else place
    places = [place_of[g] for g in first if once[g] == 1 and place_of.get(g, -1) >= 0]
    tails: list[int] = []
    for place in places:
        at = bisect.bisect_left(tails, place)
        tails[at : at + 1] = [place]
    return len(tails) / max(1, len(places))


def ours(data: bytes) -> tuple[str, int]:
    answer = read(data, 1 << 30, False)
    return answer["text"], len(answer["starts"])


def pypdfium2_alone(data: bytes) -> tuple[str, int]:
    import pypdfium2

    document = pypdfium2.PdfDocument(data)
    texts = [page.get_textpage().get_text_range() for page in document]
    return "\n".join(texts), len(texts)


def pdf_oxide(data: bytes) -> tuple[str, int]:
    import pdf_oxide

    document = pdf_oxide.PdfDocument.from_bytes(data)
    texts = [document.extract_text(i) for i in range(document.page_count())]
    return "\n".join(texts), len(texts)


def main() -> None:
    methods: list[Callable[[bytes], tuple[str, int]]] = [ours, pypdfium2_alone]
    if "--peers" in sys.argv:
        methods.append(pdf_oxide)
    print("| manual | reader | pages | word F | order | pages per CPU s |\n|---|---|--:|--:|--:|--:|")
    for name in NAMES:
        data, wanted = (MANUALS / f"{name}.pdf").read_bytes(), truth(name)
        for method in methods:
            method(data)
            begin = time.process_time()
            text, pages = method(data)
            seconds = time.process_time() - begin
            found = words(text)
            print(
                f"| {name} | {method.__name__} | {pages} | {word_f(found, wanted):.3f} | {order(found, wanted):.3f} | "
                f"{pages / seconds:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
