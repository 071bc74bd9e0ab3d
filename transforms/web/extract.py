"""The step `extract`."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from corpusmill.transforms.arrow import set_column
from corpusmill.transforms.base import Map, Stability
from corpusmill.transforms.errors import MissingDependencyError, SourceError
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.web import tags
from corpusmill.transforms.web.blocks import ANCESTRY, Blocks, cut
from corpusmill.transforms.web.features import features
from corpusmill.transforms.web.model import probabilities
from corpusmill.transforms.web.page import Page, parse
from corpusmill.transforms.web.render import render

_HIDDEN = 1 << tags.ANCESTORS.index("hidden")


class Extract(Map):
    """Takes the main content out of web pages: HTML in `column`, text in `text`.

    method       what stays
    learned      blocks that boosted trees take for main content, by text and link density, tags, class names, punctuation,
                 position, neighbours and repetition within the page
    resiliparse  the main content by resiliparse's rules (Bevendorff et al. 2018)
    trafilatura  the main content by trafilatura (Barbaresi 2021); slow
    all-text     everything that is shown

    A page without main content gets an empty text, which a filter as `length` drops. New columns: `title`, `html_lang` and
    `date` as the page names them (null where it does not), `blocks` and `blocks_cut`: how many blocks of text the page has, and how
    many were left out (null but for learned and all-text).
    Raises MissingDependencyError without resiliparse or trafilatura, SourceError for a column that is not there or holds
    neither strings nor bytes.

    >>> html = "<nav><a href=a>Home</a></nav><h1>Rain</h1><p>It rained all day, and nobody minded.</p>"
    >>> batch = pa.record_batch({"id": ["a"], "text": [html], "source": ["s"]})
    >>> Extract(method="all-text")(batch).column("text")[0].as_py()
    'Home\\n\\nRain\\n\\nIt rained all day, and nobody minded.'
    """

    name: ClassVar[str] = "extract"
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = "record"

    column: str = Field("text", description="Column of HTML: strings, or bytes whose encoding is told by the page.")
    method: Literal["learned", "resiliparse", "trafilatura", "all-text"] = Field(
        "learned", description="What finds the main content."
    )
    format: Literal["text", "markdown"] = Field("text", description="Plain text or Markdown.")
    threshold: float = Field(
        0.5, gt=0, lt=1, description="Blocks above this probability stay (learned): lower keeps more."
    )
    keep_column: bool = Field(False, description="Keep the column of HTML where it is not `text`.")

    def fingerprint(self) -> str:
        """The fingerprint of every step, with the versions of the libraries that read the page: they change results."""
        names = ["resiliparse", *(["trafilatura"] if self.method == "trafilatura" else [])]
        digest = super().fingerprint()
        return hashlib.sha256(f"{digest}\0{[_version(name) for name in names]}".encode()).hexdigest()[:32]

    def map(self, batch: pa.RecordBatch, rng: Keyed) -> pa.RecordBatch:
        if self.column not in batch.schema.names:
            raise SourceError(
                f"extract: no column {self.column!r} among {', '.join(batch.schema.names)}. Correct `column`."
            )
        column = batch.column(self.column)
        if not (pa.types.is_string(column.type) or pa.types.is_binary(column.type)
                or pa.types.is_large_string(column.type) or pa.types.is_large_binary(column.type)):  # fmt: skip
            raise SourceError(f"extract: column {self.column!r} is {column.type}, not HTML as strings or bytes.")
        rows = [self._row(page.as_py()) for page in column]
        texts, titles, langs, dates, blocks, left = zip(*rows, strict=True) if rows else ((),) * 6
        out = batch
        if self.column != "text" and not self.keep_column:
            out = out.drop_columns(self.column)
        out = set_column(out, "text", pa.array(texts, pa.string()))
        for name, values in (("title", titles), ("html_lang", langs), ("date", dates)):
            out = set_column(out, name, pa.array([v or None for v in values], pa.string()))
        out = set_column(out, "blocks", pa.array(blocks, pa.int32()))
        return set_column(out, "blocks_cut", pa.array(left, pa.int32()))

    def _row(self, html: str | bytes | None) -> tuple[str | None, str, str, str, int | None, int | None]:
        """(text, title, language, date, blocks, blocks cut) of a page."""
        if html is None:
            return None, "", "", "", None, None
        page = parse(html)
        if self.method in ("resiliparse", "trafilatura"):
            text = _by_resiliparse(page) if self.method == "resiliparse" else _by_trafilatura(page, self.format)
            return text, page.title, page.lang, page.date, None, None
        blocks = cut(page.html)
        keep = self._kept(blocks, page)
        text = render(blocks, keep, self.format == "markdown")
        return text, page.title, page.lang, page.date, len(keep), int(len(keep) - keep.sum())

    def _kept(self, blocks: Blocks, page: Page) -> np.ndarray:
        if self.method == "all-text" or not len(blocks.values):
            return (blocks.values[:, ANCESTRY] & _HIDDEN) == 0
        return probabilities(features(blocks, page.title)) > self.threshold


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _by_resiliparse(page: Page) -> str:
    from resiliparse.extract.html2text import extract_plain_text

    return extract_plain_text(page.html.decode(), main_content=True, alt_texts=False, list_bullets=False)


def _by_trafilatura(page: Page, format_: str) -> str:
    try:
        from trafilatura import extract
    except ImportError:
        raise MissingDependencyError(
            "extract: `method: trafilatura` needs the package trafilatura. Install it with: pip install 'corpusmill[web]'."
        ) from None
    kind = "markdown" if format_ == "markdown" else "txt"
    return extract(page.html.decode(), include_comments=False, output_format=kind) or ""
