"""Pages of manuals with their main content, by the element in which the generator of the manual puts it.

    apt-get download PACKAGE ...; dpkg -x PACKAGE.deb ROOT        # see MANUALS

Pages that annotators labelled are news and blogs, so that a classifier which knows only these loses signatures, terms and short
code of manuals. Many generators are here, so that no single one is learned by its class names.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from corpusmill.transforms.web.blocks import LINK_BYTES, START, STOP, Blocks, cut
from corpusmill.transforms.web.page import parse


class Manual(NamedTuple):
    """A Debian package, its pages below /usr/share, the selector of the main content, and what is not content within it."""

    package: str
    pages: str
    main: str
    without: str = ""
    most: int = 40


MANUALS = (
    Manual("sphinx-doc", "doc/sphinx-doc/html/**/*.html", "div[role=main]", most=60),
    Manual("python-flask-doc", "doc/python-flask-doc/html/**/*.html", "div[role=main]", most=20),
    Manual("python-jinja2-doc", "doc/python-jinja2-doc/html/*.html", "div[role=main]", most=15),
    Manual("python-sqlalchemy-doc", "doc/python-sqlalchemy-doc/html/**/*.html", "div[role=main]"),
    Manual(
        "python-scipy-doc", "doc/python-scipy-doc/html/tutorial/**/*.html", "main article, main", ".prev-next-area", 15
    ),
    Manual(
        "python-scipy-doc", "doc/python-scipy-doc/html/reference/**/*.html", "main article, main", ".prev-next-area", 30
    ),
    Manual("python-django-doc", "doc/python-django-doc/html/**/*.html", "#bd", "#sidebar", 50),
    Manual("developers-reference", "developers-reference/*.html", "div[role=main]", most=12),
    Manual("git-doc", "doc/git-doc/**/*.html", "#content"),
    Manual(
        "postgresql-doc-15", "doc/postgresql-doc-15/html/*.html", "div.sect1, div.refentry, div.chapter", ".toc", 60
    ),
    Manual("valgrind", "doc/valgrind/html/*.html", "div.chapter, div.sect1", ".toc", 25),
    Manual("rust-doc", "doc/rust-doc/html/std/**/*.html", "#main-content", most=50),
    Manual("rust-doc", "doc/rust-doc/html/book/*.html", "main", most=25),
    Manual("nodejs-doc", "doc/nodejs/api/*.html", "#apicontent", "#toc", 30),
)
UNSEEN = (
    Manual("python3.11-doc", "doc/python3.11/html/**/*.html", "div[role=main]", most=60),
    Manual("debian-policy", "doc/debian-policy/policy.html/*.html", "div[role=main]", most=26),
    Manual("python-babel-doc", "doc/python-babel-doc/html/**/*.html", "div[role=main]", most=20),
    Manual("python-h5py-doc", "doc/python-h5py-doc/html/**/*.html", "div[role=main]", most=30),
    Manual("r-doc-html", "R/doc/manual/*.html", "div.chapter"),
)
_LISTS = ".toctree-wrapper, .contents, #toc, .toc, .genindextable, .modindextable"
_LARGEST = 400_000


def pages(manual: Manual, root: Path) -> list[bytes]:
    """Some pages of a manual, always the same ones."""
    base = root / "usr/share"
    found = [p for p in sorted(base.glob(manual.pages)) if p.is_file() and p.stat().st_size < _LARGEST]
    if not found:
        raise SystemExit(f"{base / manual.pages}: no pages. Unpack the package {manual.package} below {root}.")
    return [p.read_bytes() for p in random.Random(manual.package).sample(found, min(manual.most, len(found)))]


def labelled(manual: Manual, root: Path) -> Iterator[tuple[Blocks, str, np.ndarray, np.ndarray]]:
    """(blocks, title, label float32 [n], bool [n]: whether the label is sure) of the pages of a manual.

    Lists of contents in the main content are neither one nor the other.
    """
    from resiliparse.parse.html import HTMLTree

    for page in pages(manual, root):
        document = parse(page)
        tree = HTMLTree.parse(document.html.decode())
        html = tree.document.html.encode()
        blocks = cut(html)
        label = np.zeros(len(blocks.values), np.float32)
        for main in tree.document.query_selector_all(manual.main):
            label[_within(html, main.html.encode())] = 1
        if not label.any():
            continue
        sure = np.ones(len(label), np.bool_)
        size = blocks.values[:, STOP] - blocks.values[:, START]
        sure[(label == 1) & (blocks.values[:, LINK_BYTES] > 0.8 * size)] = False
        for element in tree.document.query_selector_all(_LISTS):
            inside = _within(html, element.html.encode())
            sure[inside] &= label[inside] == 0
        for element in tree.document.query_selector_all(manual.without) if manual.without else ():
            inside = _within(html, element.html.encode())
            label[inside], sure[inside] = 0, True
        yield blocks, document.title, label, sure


def _within(html: bytes, element: bytes) -> slice:
    """The blocks of an element of a page, both serialised."""
    at = html.find(element)
    return slice(len(cut(html[:at]).values), len(cut(html[: at + len(element)]).values)) if at >= 0 else slice(0)
