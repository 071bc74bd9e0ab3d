"""Parses a page with resiliparse: the repaired HTML, and what the page says of itself."""

from __future__ import annotations

import contextlib
import re
from typing import NamedTuple

from corpusmill.transforms.errors import MissingDependencyError


class Page(NamedTuple):
    """A parsed page: the serialised form of its tree, its title, language and date ("" where it names none)."""

    html: bytes
    title: str
    lang: str
    date: str


_LANG = re.compile(rb'<html[^>]*?\slang="([A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8})*)"')
_NAME = (
    rb'(?:property|name|itemprop)="(?i:article:published_time|og:published_time|datepublished|date|dc\.date(?:\.issued)?'
    rb'|dcterms\.(?:date|created|issued)|pubdate|publish[-_]?date|sailthru\.date|parsely-pub-date)"'
)
_DAY = rb'content="\s*([12][0-9]{3}-[01][0-9]-[0-3][0-9])'
_DATES = (
    re.compile(rb"<meta " + _NAME + rb"[^>]*? " + _DAY),
    re.compile(rb"<meta " + _DAY + rb'[^"]*"[^>]*? ' + _NAME),
)
_TIME = re.compile(rb'<time[^>]{0,200}? datetime="\s*([12][0-9]{3}-[01][0-9]-[0-3][0-9])')


def parse(page: bytes | str) -> Page:
    """The page as resiliparse reads it; bytes that are not UTF-8 are decoded by meta tags or look.

    The date (YYYY-MM-DD) is that of a meta tag, else of the first `time` element.
    Raises MissingDependencyError if resiliparse is not installed.
    """
    try:
        from resiliparse.parse.encoding import detect_encoding
        from resiliparse.parse.html import HTMLTree
    except ImportError:
        raise MissingDependencyError(
            "extract needs the package resiliparse. Install it with: pip install 'corpusmill[web]'."
        ) from None
    if isinstance(page, bytes) and (b"\x1b" not in page or b"\x1b$" not in page):
        # bytes that are valid UTF-8 are UTF-8, whatever they say; ISO-2022-JP looks like ASCII
        with contextlib.suppress(UnicodeDecodeError):
            page = page.decode()
    if isinstance(page, bytes):
        tree = HTMLTree.parse_from_bytes(page, detect_encoding(page, from_html_meta=True) or "cp1252")
    else:
        tree = HTMLTree.parse(page)
    document = tree.document
    html = document.html.encode("utf-8", "replace") if document is not None else b""
    head = html[: max(0, html.find(b"<body")) or 20_000]
    lang = _LANG.search(head)
    date = _DATES[0].search(head) or _DATES[1].search(head) or _TIME.search(html)
    title = " ".join((tree.title or "").split())
    return Page(html, title, lang[1].decode().lower() if lang else "", date[1].decode() if date else "")
