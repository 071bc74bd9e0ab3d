"""The text of an EPUB: its chapters in the order of reading, as Markdown. EPUB 2 and 3 (W3C)."""

from __future__ import annotations

import posixpath
from urllib.parse import unquote

import numpy as np

from corpusmill.transforms.sources.documents.container import BadDocumentError, Container, local
from corpusmill.transforms.web.blocks import cut
from corpusmill.transforms.web.markup import with_markup
from corpusmill.transforms.web.page import parse
from corpusmill.transforms.web.render import render

_PAGES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")


def epub(container: Container) -> tuple[str, str, str, list[int]]:
    """(text, title, language, where in it each chapter begins).

    Raises:
        BadDocumentError: it is damaged, encrypted, or without text.
    """
    root = container.xml("META-INF/container.xml")
    package = next(
        (e.get("full-path", "") for e in ([] if root is None else root.iter()) if local(e.tag) == "rootfile"), ""
    )
    opf = container.xml(package) if package else None
    if opf is None:
        raise BadDocumentError("epub-damaged", "names no package file that it holds")
    encryption = container.xml("META-INF/encryption.xml")
    listed = [] if encryption is None else [e for e in encryption.iter() if local(e.tag) == "CipherReference"]
    locked = {unquote(e.get("URI", "")) for e in listed}
    items, title, language = {}, "", ""
    for element in opf.iter():
        name = local(element.tag)
        if (
            name == "item"
            and element.get("media-type") in _PAGES
            and "nav" not in element.get("properties", "").split()
        ):
            path = posixpath.join(posixpath.dirname(package), unquote(element.get("href", "")))
            items[element.get("id")] = posixpath.normpath(path)
        elif name == "title" and not title:
            title = " ".join((element.text or "").split())
        elif name == "language" and not language:
            language = (element.text or "").strip()
    order = [items[i] for e in opf.iter() if local(e.tag) == "itemref" and (i := e.get("idref")) in items]
    out: list[str] = []
    starts: list[int] = []
    size = 0
    for name in dict.fromkeys(order):
        if name in locked:
            raise BadDocumentError("epub-encrypted", f"{name} is encrypted")
        page = container.read(name)
        if page is None:
            continue
        blocks = cut(with_markup(parse(page).html))
        text = render(blocks, np.ones(len(blocks.values), np.bool_), True)
        if text.strip():
            starts.append(size)
            out.append(text)
            size += len(text) + 2
    if not out:
        raise BadDocumentError("epub-no-text", "no chapter has text")
    return "\n\n".join(out), title, language, starts
