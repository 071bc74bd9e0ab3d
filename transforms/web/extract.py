"""The step `extract`."""

from __future__ import annotations

import hashlib
import itertools
import re
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from corpusmill.transforms.arrow import set_column
from corpusmill.transforms.base import Cuts, Filter, Stability, Verdict
from corpusmill.transforms.errors import MissingDependencyError, SourceError
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.web import tags
from corpusmill.transforms.web.beside import links, microdata
from corpusmill.transforms.web.blocks import ANCESTRY, START, STOP, Blocks, cut
from corpusmill.transforms.web.features import features
from corpusmill.transforms.web.kinds import Kind, kind_of, kind_of_text
from corpusmill.transforms.web.markup import with_markup
from corpusmill.transforms.web.model import kept
from corpusmill.transforms.web.page import Page, parse
from corpusmill.transforms.web.render import render

Method = Literal["learned", "resiliparse", "trafilatura", "all-text"]
_HIDDEN = 1 << tags.ANCESTORS.index("hidden")
_LINKS = pa.list_(pa.struct({"url": pa.string(), "text": pa.string(), "rel": pa.string()}))
_SAMPLES, _SAMPLE = 3, 80


class Extract(Filter):
    """Takes the main content out of web pages: HTML in `column`, text in `text`.

    method       what stays
    learned      blocks that boosted trees take for main content, by text and link density, tags, class names, punctuation,
                 position, neighbours and repetition within the page
    resiliparse  the main content by resiliparse's rules (Bevendorff et al. 2018)
    trafilatura  the main content by trafilatura (Barbaresi 2021); slow
    all-text     everything that is shown
    vote         blocks that at least `min_votes` of `voters` keep; with 1, their union

    Markdown keeps headings, lists, quotes, tables and code byte for byte; and but for `vote` languages of code, code in lines,
    formulas of MathML, KaTeX and MathJax as LaTeX, and the alternative texts of images.

    New columns: `title`, `html_lang` and `date` as the page names them (null where it does not); `page_kind`; `blocks` and
    `blocks_cut`: how many blocks of text the page has, and how many were left out (null for resiliparse and trafilatura). The
    funnel counts what was left out, and `corpusmill why DIR ID` shows some of it. `page_kind` is `content`, `list` (a page of
    links), `notice` (a cookie notice, a login wall, an error) or `empty`; pages of the kinds in `drop` are dropped as
    `list-page` and so on.

    Raises:
        MissingDependencyError: resiliparse or trafilatura is not installed.
        SourceError: the column is not there, or holds neither strings nor bytes.

    >>> html = "<nav><a href=a>Home</a></nav><h1>Rain</h1><p>It rained all day, and nobody minded.</p>"
    >>> batch = pa.record_batch({"id": ["a"], "text": [html], "source": ["s"]})
    >>> Extract(method="all-text", drop=())(batch).column("text")[0].as_py()
    'Home\\n\\nRain\\n\\nIt rained all day, and nobody minded.'
    """

    name: ClassVar[str] = "extract"
    version: ClassVar[int] = 4
    stability: ClassVar[Stability] = "record"
    advice: ClassVar[str | None] = (
        ": look at a few with `corpusmill dropped DIR --step extract`, or leave them in by `drop: []`"
    )

    column: str = Field("text", description="Column of HTML: strings, or bytes whose encoding the page declares.")
    method: Literal["learned", "resiliparse", "trafilatura", "all-text", "vote"] = Field(
        "learned", description="What finds the main content."
    )
    voters: tuple[Method, ...] = Field(
        ("learned", "resiliparse", "trafilatura"), min_length=2, description="Methods that vote (vote)."
    )
    min_votes: int = Field(2, ge=1, description="Votes by which a block stays (vote).")
    format: Literal["text", "markdown"] = Field("text", description="Plain text or Markdown.")
    threshold: float = Field(
        0.5, gt=0, lt=1, description="Blocks above this probability stay (learned): lower keeps more."
    )
    drop: tuple[Kind, ...] = Field(("empty", "notice"), description="Kinds of pages that are dropped.")
    links: bool = Field(False, description="Add the column `links`: address, text and rel of the page's links.")
    microdata: bool = Field(
        False, description="Add the column `microdata`: JSON of what the page says for machines (JSON-LD, Open Graph)."
    )
    keep_column: bool = Field(False, description="Keep the column of HTML where it is not `text`.")

    @model_validator(mode="after")
    def _votes(self) -> Extract:
        if self.method == "vote" and self.min_votes > len(set(self.voters)):
            raise ValueError(f"min_votes is {self.min_votes}, and there are {len(set(self.voters))} voters")
        return self

    def fingerprint(self) -> str:
        """The fingerprint of every step, with the versions of the libraries that read the page: they change results."""
        used = {self.method, *(self.voters if self.method == "vote" else ())}
        names = ["resiliparse", *(["trafilatura"] if "trafilatura" in used else [])]
        digest = super().fingerprint()
        return hashlib.sha256(f"{digest}\0{[_version(name) for name in names]}".encode()).hexdigest()[:32]

    def needs(self) -> tuple[str, ...]:
        used = {self.method, *(self.voters if self.method == "vote" else ())}
        return ("resiliparse", *["trafilatura"] * ("trafilatura" in used))

    def judge(self, batch: pa.RecordBatch, rng: Keyed) -> Verdict:
        """No scores; the value of a dropped page is its number of words."""
        if self.column not in batch.schema.names:
            raise SourceError(
                f"extract: no column {self.column!r} among {', '.join(batch.schema.names)}. Correct `column`."
            )
        column = batch.column(self.column)
        if not (pa.types.is_string(column.type) or pa.types.is_binary(column.type)
                or pa.types.is_large_string(column.type) or pa.types.is_large_binary(column.type)):  # fmt: skip
            raise SourceError(f"extract: column {self.column!r} is {column.type}, not HTML as strings or bytes.")
        urls = (
            batch.column("url").to_pylist() if self.links and "url" in batch.schema.names else [None] * batch.num_rows
        )
        rows = [self._row(page.as_py(), url) for page, url in zip(column, urls, strict=True)]
        out = batch
        if self.column != "text" and not self.keep_column:
            out = out.drop_columns(self.column)
        for name, kind in self._columns().items():
            out = set_column(out, name, pa.array([row.get(name) for row in rows], kind))
        kinds = [row["page_kind"] for row in rows]
        codes = np.array([self.drop.index(k) if k in self.drop else -1 for k in kinds], np.int16)
        values = [
            float(len((row["text"] or "").split())) if c >= 0 else np.nan for row, c in zip(rows, codes, strict=True)
        ]
        reasons = tuple(f"{kind}-page" for kind in self.drop)
        return Verdict(reasons, codes, np.array(values, np.float64), {}, out, _cuts(rows))

    def _columns(self) -> dict[str, pa.DataType]:
        """The columns that the step writes."""
        strings = dict.fromkeys(("text", "title", "html_lang", "date", "page_kind"), pa.string())
        counts = dict.fromkeys(("blocks", "blocks_cut"), pa.int32())
        more = ({"links": _LINKS} if self.links else {}) | ({"microdata": pa.string()} if self.microdata else {})
        return strings | counts | more

    def _row(self, html: str | bytes | None, url: str | None) -> dict[str, Any]:
        """The values of a page's columns, and what was cut out of it."""
        if html is None:
            return {"text": None, "page_kind": "empty"}
        page = parse(html)
        row: dict[str, Any] = {"title": page.title or None, "html_lang": page.lang or None, "date": page.date or None}
        if self.links:
            row["links"] = links(page.html, url)
        if self.microdata:
            row["microdata"] = microdata(page.html)
        if self.method in ("resiliparse", "trafilatura"):
            text = _written(page, self.method, self.format)
            return row | {"text": text, "page_kind": kind_of_text(text)}
        # votes are found by the letters of blocks, which written markup would change
        written = self.format == "markdown" and self.method != "vote"
        blocks = cut(with_markup(page.html) if written else page.html)
        keep = self._kept(blocks, page)
        text = render(blocks, keep, self.format == "markdown")
        kind = kind_of(blocks, keep, text)
        return row | {"text": text, "page_kind": kind, "blocks": len(keep), **_left_out(blocks, keep)}

    def _kept(self, blocks: Blocks, page: Page) -> np.ndarray:
        """bool [n]: the blocks that stay."""
        if self.method != "vote":
            return self._by(self.method, blocks, page)
        votes = np.sum([self._by(voter, blocks, page) for voter in dict.fromkeys(self.voters)], axis=0)
        return np.asarray(votes >= self.min_votes)

    def _by(self, method: str, blocks: Blocks, page: Page) -> np.ndarray:
        """bool [n]: the blocks that a method keeps."""
        if not len(blocks.values):
            return np.zeros(0, np.bool_)
        if method == "all-text":
            return np.asarray((blocks.values[:, ANCESTRY] & _HIDDEN) == 0)
        if method == "learned":
            return kept(features(blocks, page.title), self.threshold)
        return _blocks_in(blocks, _written(page, method, "text"))


def _blocks_in(blocks: Blocks, text: str) -> np.ndarray:
    """bool [n]: the blocks whose text is in `text`, in their order where they can be: letters and digits count."""
    whole, at = re.sub(r"\W+", "", text), 0
    found = np.zeros(len(blocks.values), np.bool_)
    for i in range(len(found)):
        part = re.sub(r"\W+", "", blocks.string(i))
        place = whole.find(part, at) if part else -1
        if place >= 0:
            # a short block is in many texts: it must come next
            found[i] = len(part) >= 20 or place - at < 200
            at = place + len(part) if found[i] else at
    return found


def _left_out(blocks: Blocks, keep: np.ndarray) -> dict[str, Any]:
    """How many blocks and bytes were left out, and the beginnings of the first ones."""
    lost = np.flatnonzero(~keep)
    size = blocks.values[lost, STOP] - blocks.values[lost, START]
    samples = [" ".join(blocks.string(i).split())[:_SAMPLE] for i in itertools.islice(lost.tolist(), _SAMPLES)]
    return {"blocks_cut": len(lost), "bytes_cut": int(size.sum()), "samples": samples}


def _cuts(rows: list[dict[str, Any]]) -> Cuts:
    """What was left out of the pages of a batch."""
    at = [i for i, row in enumerate(rows) if row.get("blocks_cut")]
    blocks, size = (np.array([rows[i][name] for i in at], np.int64) for name in ("blocks_cut", "bytes_cut"))
    return Cuts(np.array(at, np.int64), blocks, size, [rows[i]["samples"] for i in at])


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _written(page: Page, method: str, format_: str) -> str:
    """The main content of a page by another library."""
    return _by_resiliparse(page) if method == "resiliparse" else _by_trafilatura(page, format_)


def _by_resiliparse(page: Page) -> str:
    from resiliparse.extract.html2text import extract_plain_text

    return extract_plain_text(page.html.decode(), main_content=True, alt_texts=False, list_bullets=False)


def _by_trafilatura(page: Page, format_: str) -> str:
    try:
        from trafilatura import extract
    except ImportError:
        raise MissingDependencyError(
            "extract: the method trafilatura needs the package trafilatura. Install it with: pip install 'corpusmill[web]'."
        ) from None
    kind = "markdown" if format_ == "markdown" else "txt"
    return extract(page.html.decode(), include_comments=False, output_format=kind) or ""
