"""What the formats and steps of the raw web cost: code, EPUB and Word documents; urls, extract, site-boilerplate, rights.

    python tests/benchmarks/web.py [PAGES.parquet]

In this process, warm, on one CPU; the best of three runs counts. MB are those of the text that comes out of a format, and of the
text that goes into a step (`extract`: of the HTML). Books and Word documents are made of the text of the pages; the code is this
checkout's.
"""

from __future__ import annotations

import io
import sys
import tempfile
import zipfile
from collections.abc import Callable
from html import escape
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpusmill.transforms.rights.rights import Rights
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.listing import list_files
from corpusmill.transforms.sources.read import read_split
from corpusmill.transforms.sources.spec import SourceSpec
from corpusmill.transforms.sources.splits import make_splits
from corpusmill.transforms.web.extract import Extract
from corpusmill.transforms.web.site_boilerplate import SiteBoilerplate
from corpusmill.transforms.web.urls import Urls
from tests.benchmarks.extract_train import PAGES
from tests.benchmarks.sources import cost

ROOT = Path(__file__).resolve().parents[2]
CODE = ("corpusmill", "pipelines", "training", "transforms", "privacy", "tests")
_COPIES = 5


def read(folder: Path, pattern: str, format_: str) -> pa.Table:
    """All rows of a source."""
    spec = SourceSpec(name="bench", path=pattern, format=format_)
    batches = [
        batch
        for split in make_splits(spec, list_files(spec, str(folder)))
        for batch in read_split(split, spec, BadRows("bench"))
    ]
    return pa.Table.from_batches(batches)


def epub(chapters: list[str]) -> bytes:
    """A book of chapters, paragraphs by lines."""
    items = "".join(
        f'<item id="c{i}" href="c{i}.xhtml" media-type="application/xhtml+xml"/>' for i in range(len(chapters))
    )
    spine = "".join(f'<itemref idref="c{i}"/>' for i in range(len(chapters)))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        archive.writestr(
            "META-INF/container.xml",
            '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="b.opf" media-type="application/oebps-package+xml"/></rootfiles></container>',
        )
        archive.writestr(
            "b.opf",
            f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{items}</manifest><spine>{spine}</spine></package>',
        )
        for i, text in enumerate(chapters):
            lines = "".join(f"<p>{escape(_plain(line))}</p>" for line in text.split("\n") if line.strip())
            archive.writestr(f"c{i}.xhtml", f'<html xmlns="http://www.w3.org/1999/xhtml"><body>{lines}</body></html>')
    return out.getvalue()


def docx(text: str) -> bytes:
    """A Word document, paragraphs by lines."""
    lines = "".join(
        f"<w:p><w:r><w:t>{escape(_plain(line))}</w:t></w:r></w:p>" for line in text.split("\n") if line.strip()
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "word/document.xml",
            '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
            f"<w:body>{lines}</w:body></w:document>",
        )
    return out.getvalue()


def _plain(line: str) -> str:
    """A line without the signs that XML refuses."""
    return "".join(c for c in line if c.isprintable())


def megabytes(table: pa.Table, column: str = "text") -> float:
    return pc.sum(pc.binary_length(table[column])).as_py() / 1e6  # type: ignore[no-any-return]


def main() -> None:
    found = pq.read_table(Path(sys.argv[1]) if len(sys.argv) > 1 else PAGES, columns=["url", "html"])
    pages = pa.table({"id": found["url"], "url": found["url"], "html": found["html"]})
    text = Extract(column="html", method="all-text", drop=())(pages)
    text = text.select(["id", "url", "text"]).append_column("source", pa.array(["web"] * len(text)))
    texts = [t for t in text["text"].to_pylist() if t]
    print("| what | documents | MB | CPU s | MB per CPU s |\n|---|--:|--:|--:|--:|")

    def row(name: str, run: Callable[[], pa.Table], size: float | None = None, repeats: int = 1) -> None:
        run()  # kernels are loaded
        seconds, out = cost(lambda: [run() for _ in range(repeats)].pop())
        seconds /= repeats  # the system counts in hundredths
        assert isinstance(out, pa.Table)
        mb = megabytes(out) if size is None else size
        print(f"| {name} | {len(out):,} | {mb:.2f} | {seconds:.3f} | {mb / seconds:.1f} |", flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for i in range(0, len(texts), 20):
            (folder / f"{i}.epub").write_bytes(epub(texts[i : i + 20]))
        for i, each in enumerate(texts):
            (folder / f"{i}.docx").write_bytes(docx(each))
        row("epub", lambda: read(folder, "*.epub", "epub"))
        row("docx", lambda: read(folder, "*.docx", "docx"))
    row("code, one document a file", lambda: read(ROOT, "t*/**/*.py", "code"))
    size = megabytes(text)
    row("extract", lambda: Extract(column="html")(pages), megabytes(pages, "html"))
    row("urls", lambda: Urls()(text), size, 50)
    # each page stands on several hosts' worth of addresses, so that blocks recur
    many = pa.concat_tables(
        text.set_column(1, "url", pc.binary_join_element_wise(text["url"], f"?copy={i}", "")).set_column(
            0, "id", pc.binary_join_element_wise(text["id"], f"#{i}", "")
        )
        for i in range(_COPIES)
    )
    row(f"site-boilerplate, {_COPIES} copies", lambda: SiteBoilerplate()(many), size * _COPIES)
    row("rights", lambda: Rights()(text), size)


if __name__ == "__main__":
    main()
