"""Web archives: WARC 1.0 and 1.1 (ISO 28500), and the WET and WAT files that Common Crawl makes of them; plain, .gz or .zst.

One row a page:

    text       the page: HTML for `extract`, plain text of WET, JSON of WAT
    url, date  WARC-Target-URI and WARC-Date (when it was captured, ISO 8601)
    mime       of the HTTP header (of WET and WAT, of the record), in lower case, without parameters
    status     of HTTP
    digest     WARC-Payload-Digest
    charset    the encoding by which the body was read: see `corpusmill.transforms.sources.charsets`
    truncated  WARC-Truncated, where the capture ends early, such as `length`
    record     WARC-Record-ID
    rights_headers   the lines of the HTTP header that speak of rights, which the step `rights` reads: X-Robots-Tag,
               TDM-Reservation, TDM-Policy, Content-Usage, Content-Signal, and Link with rel=license
    warc_file, warc_offset   where the record lies: its file, and the byte there at which its frame begins

Pages are the `response` records of HTTP with a status and a media type that `options` name, and `resource` records. Other records
are left out and counted by kind: requests, metadata, revisits (whose page is in another record), redirects, errors, images.
A record that cannot be read is quarantined with the byte at which it begins, and what is behind it is read.
"""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa
from pydantic import BaseModel

from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.files import Part, compression_of
from corpusmill.transforms.sources.format import Format, Rows, balanced
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.opened import faults_of, open_file
from corpusmill.transforms.sources.spec import SourceSpec
from corpusmill.transforms.sources.warc.bodies import fastwarc
from corpusmill.transforms.sources.warc.frames import Frames
from corpusmill.transforms.sources.warc.pages import KINDS, Options, Pages, schema_of
from corpusmill.transforms.sources.warc.records import Gap, Records

_BATCH_BYTES = 8 << 20


class Warc(Format):
    """Web archives, cut at records."""

    name = "warc"
    extensions: ClassVar[tuple[str, ...]] = (".warc", ".wet", ".wat", ".warc.wet", ".warc.wat")
    magic = (b"WARC/1.", b"WARC/0.")
    extra = "web"
    libraries = ("FastWARC", "Resiliparse")
    version = 2
    Options: ClassVar[type[BaseModel] | None] = Options
    by_bytes = True
    grows = True
    shows_names = True
    fails_whole = False

    def schema(self, part: Part, spec: SourceSpec) -> pa.Schema:
        """The same for every file."""
        return schema_of(spec)

    def ranges(self, path: str, size: int, target: int) -> list[tuple[int, int]]:
        """Ranges of bytes; a range holds the records that begin in it. A file of one compressed frame is not cut."""
        codec = compression_of(path)
        with open_file(path) as f, faults_of(path, "cannot be read"):
            frames = Frames(f, size, codec)
            if codec and frames.is_one(target):
                return []
            if codec:
                n = -(-size // target)
                return [(size * i // n, size * (i + 1) // n) for i in range(n)]
            borders = Records(frames, 0).borders()
        bounds = balanced([b - a for a, b in zip(borders, [*borders[1:], size])], target) if borders else []
        return [(borders[a], borders[b] if b < len(borders) else size) for a, b in bounds]

    def read(self, part: Part, spec: SourceSpec, budget: Budget, bad: BadRows, rows: int) -> Rows:
        """Pages, and the byte at which each one's record begins; records that cannot be read go to `bad`."""
        library, codec = fastwarc(), compression_of(part.path)
        with open_file(part.path) as f, faults_of(part.path, "cannot be read"):
            frames = Frames(f, part.size, codec, budget)
            _check_kind(part, frames)
            records = Records(frames, spec.max_document_bytes + (1 << 20))
            begin: int | None = part.begin
            end: int | None = None if part.whole or part.end >= part.size else part.end
            if codec and not part.whole:
                begin = records.next(part.begin, strict=True) if part.begin else 0
                end = None if end is None else records.next(end, strict=True)
            if begin is None:
                return
            pages = Pages(part, spec, bad, library)
            for each in records.read(begin, end, KINDS):
                if isinstance(each, Gap):
                    pages.gap(each)
                else:
                    pages.add(each)
                if len(pages.rows) == rows or pages.size > _BATCH_BYTES:
                    yield pages.batch()
            if pages.rows:
                yield pages.batch()


def _check_kind(part: Part, frames: Frames) -> None:
    """Refuse what is no web archive: a file that is cut or damaged behind its beginning is one."""
    with open_file(part.path) as f:
        head = f.read(min(8, part.size))
    if not head:
        raise BadFileError(part.path, "is empty")
    begins = frames.magic or b"WARC/"
    if not begins.startswith(head[: len(begins)]) and not (frames.codec == "zstd" and head[1:4] == b"\x2a\x4d\x18"):
        raise BadFileError(
            part.path, f"is no {frames.codec or 'web archive'} data" if frames.codec else "is no web archive"
        )
