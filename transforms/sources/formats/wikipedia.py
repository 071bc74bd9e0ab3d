"""Dumps of Wikipedia and other wikis of MediaWiki: `pages-articles.xml`, plain or compressed (.bz2 also as multistream).

One row a page, of its newest revision: `text`, `title`, `url`, `page_id`, `revision_id`, `namespace`, `date` (of the revision) and
`categories`. Other namespaces, redirects and pages of other content models (Lua, CSS, JSON) are left out and counted.

Wikitext becomes text by the rules of `corpusmill.transforms.sources.wiki`: templates are dropped, but for those that stand for
words (`wiki/templates.py` has the table); footnotes, galleries and files are dropped; headings without text below them, too.

A plain dump is cut at pages, a multistream one at its streams: they are found by their marks, so its index is not needed.
"""

from __future__ import annotations

import urllib.parse
from typing import Any, ClassVar, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.files import Part, compression_of
from corpusmill.transforms.sources.format import Format, Rows
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.opened import faults_of, open_file
from corpusmill.transforms.sources.spec import SourceSpec
from corpusmill.transforms.sources.warc.frames import Frames
from corpusmill.transforms.sources.wiki.dump import Fault, Page, next_page, pages, site
from corpusmill.transforms.sources.wiki.links import Names
from corpusmill.transforms.sources.wiki.markup import render

SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("title", pa.string()),
        ("url", pa.string()),
        ("page_id", pa.int64()),
        ("revision_id", pa.int64()),
        ("namespace", pa.int32()),
        ("date", pa.string()),
        ("categories", pa.list_(pa.string())),
    ]
)
_BATCH_BYTES = 8 << 20


class Options(BaseModel):
    """Which pages of a dump are read, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespaces: list[int] = Field([0], description="Namespaces that are read: 0 is articles; all of them if empty.")
    markup: Literal["text", "markdown", "wikitext"] = Field(
        "text", description="Plain text, Markdown, or the wikitext as it is."
    )


class Wikipedia(Format):
    """Dumps of MediaWiki, cut at pages or streams."""

    name = "wikipedia"
    patterns: ClassVar[tuple[str, ...]] = (
        r"-pages-(articles|meta-current)(-multistream)?\d*\.xml(-p\d+p\d+)?\Z",
        r"-multistream-index\d*\.txt(-p\d+p\d+)?\Z",
    )
    magic: ClassVar[tuple[bytes, ...]] = (b"<mediawiki",)
    version: ClassVar[int] = 2
    Options: ClassVar[type[BaseModel] | None] = Options
    by_bytes: ClassVar[bool] = True
    grows: ClassVar[bool] = True
    fails_whole: ClassVar[bool] = False

    def schema(self, part: Part, spec: SourceSpec) -> pa.Schema:
        """The same for every file."""
        return SCHEMA

    def ranges(self, path: str, size: int, target: int) -> list[tuple[int, int]]:
        """Ranges of bytes; a range holds the pages of the streams that begin in it, or in a plain file, its own pages."""
        codec = compression_of(path)
        if codec not in ("", "bz2"):
            return []
        with open_file(path) as f, faults_of(path, "cannot be read"):
            if codec and Frames(f, size, codec).is_one(target):
                return []
        n = -(-size // target)
        return [(size * i // n, size * (i + 1) // n) for i in range(n)]

    def read(self, part: Part, spec: SourceSpec, budget: Budget, bad: BadRows, rows: int) -> Rows:
        """The pages; a page's position is its id, that of other bytes their place in the file."""
        options = Options.model_validate(spec.options)
        with open_file(part.path) as f, faults_of(part.path, "cannot be read"):
            frames = Frames(f, part.size, compression_of(part.path), budget)
            found = site(frames)
            if found is None:
                if "-index" in part.name:
                    bad.leave_out("index file", part.name)
                    return
                raise BadFileError(part.path, "is no dump of MediaWiki: it does not begin with <mediawiki>")
            begin = next_page(frames, part.begin) if part.begin else 0
            end = next_page(frames, part.end) if not part.whole and part.end < part.size else None
            if begin is None:
                return
            held: list[tuple[Any, ...]] = []
            size = 0
            for each in pages(frames, begin, end, 2 * spec.max_document_bytes + (1 << 20)):
                if isinstance(each, Fault):
                    bad.saw(1)
                    bad.add(part.path, each.offset, "truncated" if each.ended else "bad-record", each.what, each.raw)
                elif reason := _left_out(each, options):
                    bad.leave_out(reason, f"{part.name}, page {each.id}")
                else:
                    held.append(_row(each, options, *found))
                    size += len(held[-1][0])
                if len(held) == rows or size > _BATCH_BYTES:
                    yield _batch(held)
                    held, size = [], 0
            if held:
                yield _batch(held)


def _left_out(page: Page, options: Options) -> str:
    if options.namespaces and page.namespace not in options.namespaces:
        return "other-namespace page"
    if page.redirect:
        return "redirect page"
    return "" if page.model == "wikitext" else "non-wikitext page"


def _row(page: Page, options: Options, base: str, names: Names) -> tuple[Any, ...]:
    text, categories = render(page.text, page.title, names, options.markup == "markdown")
    url = base + urllib.parse.quote(page.title.replace(" ", "_"), safe="/:(),!*';@$") if base else None
    shown = page.text if options.markup == "wikitext" else text
    return shown, page.title, url, page.id, page.revision, page.namespace, page.date, categories


def _batch(rows: list[tuple[Any, ...]]) -> tuple[pa.RecordBatch, Any]:
    columns = [pa.array(column, f.type) for column, f in zip(zip(*rows), SCHEMA)]
    ids = [row[3] for row in rows]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA), lambda numbers: [ids[int(n)] for n in numbers]
