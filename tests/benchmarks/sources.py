"""Web archives and wikitext to text, beside fastwarc + resiliparse, datatrove + trafilatura, and mwparserfromhell.

    python tests/benchmarks/sources.py [--pages FILE] [--peers]

The web archive holds the pages of FILE (Parquet with `url` and `html`; by default ../shared/data/pages), one gzip member a record,
written by fastwarc. MB are those of the HTML. Every reader runs in this process, on one CPU; the best of a few runs
counts. `--peers` also runs datatrove (which needs `pip install datatrove warcio faust-cchardet python-magic`) and mwparserfromhell,
where they are installed.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pyarrow.parquet as pq

from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.listing import list_files
from corpusmill.transforms.sources.read import read_split
from corpusmill.transforms.sources.spec import SourceSpec
from corpusmill.transforms.sources.splits import make_splits
from corpusmill.transforms.sources.wiki.markup import render

PAGES = Path(__file__).resolve().parents[2] / "../shared/data/pages/pages.parquet"
WIKITEXT = """{{Short description|x}}\n{{Infobox settlement\n| name = Foo\n| population = {{formatnum:12345}}\n}}
'''Foo''' ({{lang-fr|Foue}}) is a [[city (x)|city]] in [[Bar]].<ref name="a">{{cite web|url=http://x.y|title=T}}</ref> It has
{{convert|5|km|mi}} of coast, and much rain falls on the hills that lie behind it in the months before the harvest.
== History ==\nThe city was founded in 1900 by [[John Smith]]<ref>Foo</ref>. [[File:Foo.jpg|thumb|A ''picture'' of [[Foo]]]]
* item one\n* item [[two]]\n** nested\n{| class="wikitable"\n! Year !! Pop\n|-\n| 1900 || 100\n|-\n| 2000 || [[200]]\n|}
== References ==\n{{reflist}}\n[[Category:Cities]]\n"""


def write(pages: Path, path: Path) -> int:
    """Write the archive; bytes of HTML in it."""
    from fastwarc.warc import WarcRecord, WarcRecordType

    size = 0
    with open(path, "wb") as out:
        for row in pq.read_table(pages, columns=["url", "html"]).to_pylist():
            record = WarcRecord()
            record.init_headers(WarcRecordType.response)
            record.headers["WARC-Target-URI"] = row["url"].strip()
            record.is_http = True
            record.set_bytes_content(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + row["html"])
            held = io.BytesIO()
            record.write(held, checksum_data=True)
            out.write(gzip.compress(held.getvalue()))
            size += len(row["html"])
    return size


def ours(path: Path, steps: list[Callable] = []) -> int:  # noqa: B006
    spec = SourceSpec(name="w", path=path.name, format="warc")
    count = 0
    for split in make_splits(spec, list_files(spec, str(path.parent))):
        for batch in read_split(split, spec, BadRows("w")):
            for step in steps:
                batch = step(batch)
            count += batch.num_rows
    return count


def ours_with_extract(path: Path) -> int:
    from corpusmill.transforms.web.extract import Extract

    return ours(path, [Extract()])


def fastwarc_alone(path: Path) -> int:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    return sum(1 for r in ArchiveIterator(str(path), record_types=WarcRecordType.response) if r.reader.read())


def fastwarc_and_resiliparse(path: Path) -> int:
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    count = 0
    for record in ArchiveIterator(str(path), record_types=WarcRecordType.response):
        data = record.reader.read()
        extract_plain_text(bytes_to_str(data, detect_encoding(data)), main_content=True)
        count += 1
    return count


def datatrove_and_trafilatura(path: Path) -> int:
    from datatrove.pipeline.extractors import Trafilatura
    from datatrove.pipeline.readers import WarcReader

    extractor = Trafilatura(favour_precision=True, timeout=10)
    reader = WarcReader(str(path.parent), glob_pattern=path.name)
    return sum(1 for _ in extractor.run(reader.run()))


def cost(run: Callable[[], object], times: int = 3) -> tuple[float, object]:
    """CPU seconds of the best run, children included, and what it gave."""
    best, out = float("inf"), None
    for _ in range(times):
        begun = sum(os.times()[:4])
        out = run()
        best = min(best, sum(os.times()[:4]) - begun)
    return best, out


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pages", type=Path, default=PAGES)
    parser.add_argument("--peers", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.warc.gz"
        size = write(args.pages, path) / 1e6
        print(f"{size:.1f} MB of HTML, {path.stat().st_size / 1e6:.1f} MB as .warc.gz\n")
        print("| WARC | pages | CPU s | MB/s |\n|---|--:|--:|--:|")
        rows = [
            ("corpusmill, HTML", ours, 3),
            ("fastwarc alone, bytes", fastwarc_alone, 3),
            ("corpusmill, extract", ours_with_extract, 2),
            ("fastwarc + resiliparse", fastwarc_and_resiliparse, 2),
        ]
        if args.peers and importlib.util.find_spec("datatrove"):
            rows.append(("datatrove WarcReader + Trafilatura", datatrove_and_trafilatura, 1))
        for name, run, times in rows:
            seconds, count = cost(lambda run=run: run(path), times)
            print(f"| {name} | {count} | {seconds:.2f} | {size / seconds:.1f} |", flush=True)
    text = WIKITEXT * 20
    readers = [("corpusmill, text", lambda: render(text))]
    if args.peers and importlib.util.find_spec("mwparserfromhell"):
        import mwparserfromhell

        readers.append(("mwparserfromhell, strip_code", lambda: mwparserfromhell.parse(text).strip_code()))
    print("\n| wikitext | CPU s per MB | MB/s |\n|---|--:|--:|")
    for name, run in readers:
        begun = time.process_time()
        repeats = 20
        for _ in range(repeats):
            run()
        seconds = (time.process_time() - begun) / (repeats * len(text) / 1e6)
        print(f"| {name} | {seconds:.2f} | {1 / seconds:.2f} |")


if __name__ == "__main__":
    main()
