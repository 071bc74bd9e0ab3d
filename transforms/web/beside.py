"""What stands beside the main content of a page: its links, and the data that it says for machines."""

from __future__ import annotations

import contextlib
import json
import re
from html import unescape
from typing import Any
from urllib.parse import urljoin, urlsplit

_BASE = re.compile(rb'<base\b[^>]*? href="([^"]*)"', re.IGNORECASE)
_LINK = re.compile(rb'<a\b(?=[^>]*? href="([^"]*)")(?:[^>]*? rel="([^"]*)")?[^>]*>(.*?)</a>', re.DOTALL | re.IGNORECASE)
_TAG = re.compile(rb"<[^>]*>")
_JSON_LD = re.compile(
    rb'<script\b[^>]*? type="application/ld\+json[^"]*"[^>]*>(.*?)</script', re.DOTALL | re.IGNORECASE
)
_NAMES = rb"(?:og|article|book|profile|twitter|dc|dcterms|citation)[.:_][^\"]*|description|author|keywords|license"
_META = re.compile(
    rb'<meta\b(?=[^>]*? content="([^"]*)")[^>]*? (?:property|name|itemprop)="(' + _NAMES + rb')"', re.IGNORECASE
)
_MOST = 10_000


def links(html: bytes, url: str | None) -> list[dict[str, str]]:
    """Links to pages in the order of a serialised page: address (absolute where the page's own is known), text, and rel."""
    base = _BASE.search(html)
    home = urljoin(url or "", unescape(base[1].decode("utf-8", "replace"))) if base else url or ""
    found = []
    for match in _LINK.finditer(html):
        address = unescape(match[1].decode("utf-8", "replace")).strip()
        with contextlib.suppress(ValueError):  # such as http://[
            address = urljoin(home, address) if home else address
            if urlsplit(address).scheme not in ("http", "https", "") or address.startswith("#"):
                continue
            text = " ".join(unescape(_TAG.sub(b" ", match[3]).decode("utf-8", "replace")).split())
            found.append({"url": address, "text": text, "rel": (match[2] or b"").decode("utf-8", "replace")})
        if len(found) == _MOST:
            break
    return found


def microdata(html: bytes) -> str | None:
    """JSON of what a serialised page says for machines: `json_ld` (schema.org), and `meta` (Open Graph, Dublin Core and their
    like); None if it says nothing."""
    items: list[Any] = []
    for match in _JSON_LD.finditer(html):
        with contextlib.suppress(ValueError, RecursionError):  # a page's own mistake
            items.append(json.loads(match[1].decode("utf-8", "replace")))
    meta: dict[str, str] = {}
    for match in _META.finditer(html):
        name = match[2].decode("utf-8", "replace").lower()
        meta.setdefault(name, unescape(match[1].decode("utf-8", "replace")))
    if not items and not meta:
        return None
    return json.dumps({"json_ld": items, "meta": meta}, ensure_ascii=False, sort_keys=True)
