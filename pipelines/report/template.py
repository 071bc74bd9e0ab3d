"""Renders the HTML pages: one head, one style, no script, and nothing that comes from elsewhere.

A page's Content-Security-Policy allows its own style, by the style's hash, and nothing else. All values are escaped; the filters
`safe_line` and `clean` replace control and bidi characters.
"""

from __future__ import annotations

import base64
import hashlib
import os
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from corpusmill.pipelines.report import charts
from corpusmill.pipelines.wording import clean, count, printable, share
from corpusmill.transforms import storage
from corpusmill.transforms.errors import CorpusmillError, DatasetError


def _read(name: str) -> str:
    return files("corpusmill.pipelines.report").joinpath(name).read_text(encoding="utf-8")


def render(template: str, **content: Any) -> str:
    """The page of a template of `pipelines/report/` that extends `base.html`.

    Args:
        template: name of the file.
        content: its variables; `facts`, a list of (title, value), stand below the heading.
    """
    environment = Environment(
        loader=FunctionLoader(_read), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    filters: dict[str, Any] = {"count": count, "safe_line": printable, "clean": clean, "figure": charts.figure}
    filters["share"] = lambda part: share(part, 1)
    environment.filters |= filters
    style = _read("page.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template(template).render(
        style=Markup(style), style_hash=Markup(f"sha256-{digest}"), **content
    )


def write_text(page: str, path: str) -> int:
    """Write a page to a file; returns its size in bytes.

    Raises:
        DatasetError: the file cannot be written.
    """
    data = page.encode()
    try:
        storage.write_atomic(os.path.abspath(path) if storage.is_local(path) else path, data, fsync=False)
    except CorpusmillError:  # of a store
        raise
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written: {error.strerror}; name another file") from None
    return len(data)
