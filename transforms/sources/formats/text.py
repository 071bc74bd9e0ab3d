"""Text files: plain, Markdown and the like, one document a file or one a line, with the file's name as `path`."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.sources.bad import BadRows, printable
from corpusmill.transforms.sources.compressed import Stream, open_stream
from corpusmill.transforms.sources.files import Part, compression_of
from corpusmill.transforms.sources.format import Format, Rows
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.lines import blocks
from corpusmill.transforms.sources.rows import Place
from corpusmill.transforms.sources.spec import SourceSpec

SCHEMA = pa.schema([("text", pa.string()), ("path", pa.string())])


def _batch(texts: list[bytes], part: Part) -> pa.RecordBatch:
    if any(text.startswith((b"\xff\xfe", b"\xfe\xff")) for text in texts[:1]):
        raise BadFileError(part.path, "is UTF-16, not UTF-8", "convert it (`iconv -f UTF-16 -t UTF-8`)")
    names = pa.repeat(pa.scalar(printable(part.name), pa.string()), len(texts))
    return pa.RecordBatch.from_arrays([pa.array(texts, pa.binary()), names], names=["text", "path"])


def _lines(part: Part, spec: SourceSpec, bad: BadRows, stream: Stream) -> Iterator[tuple[pa.RecordBatch, Place]]:
    for block in blocks(stream, None, False, spec.max_document_bytes + 2):
        if block.oversize:
            bad.saw(1)
            detail = f"more than max_document_bytes={spec.max_document_bytes}"
            bad.add(part.path, block.first + 1, "too-long", detail, block.data)
            continue
        data = block.data.removeprefix(b"\xef\xbb\xbf") if block.first == 0 else block.data
        lines = enumerate(data.split(b"\n"), block.first + 1)
        numbered = [(i, line.rstrip(b"\r")) for i, line in lines if line.strip()]
        if numbered:
            numbers = [i for i, _ in numbered]
            yield _batch([line for _, line in numbered], part), _numbered(numbers)


def _numbered(numbers: list[int]) -> Place:
    return lambda rows: [numbers[r] for r in rows]


class Text(Format):
    """Text files: columns `text` (bytes, checked later) and `path`."""

    name = "text"
    extensions = (".txt", ".text", ".md", ".markdown", ".rst", ".adoc", ".org", ".tex")
    version = 2
    by_bytes = True
    grows = True
    shows_names = True
    small = True

    def schema(self, part: Part, spec: SourceSpec) -> pa.Schema:
        """The same for every file."""
        return SCHEMA

    def read(self, part: Part, spec: SourceSpec, budget: Budget, bad: BadRows, rows: int) -> Rows:
        """The file's documents: columns `text` (bytes, checked later) and `path`."""
        with open_stream(part.path, budget) as stream:
            if spec.split == "lines":
                yield from _lines(part, spec, bad, stream)
                return
            chunks, size = [], 0
            while data := stream.read(1 << 20):
                chunks.append(data)
                size += len(data)
                if size > spec.max_document_bytes:
                    bad.saw(1)
                    detail = f"more than max_document_bytes={spec.max_document_bytes}"
                    bad.add(part.path, 1, "too-long", detail, chunks[0])
                    # the rest is still read where it is compressed: a cut file is a bad file, however long
                    while data and compression_of(part.path):
                        data = stream.read(1 << 20)
                    return
        text = b"".join(chunks).removeprefix(b"\xef\xbb\xbf")
        yield _batch([text], part), lambda numbers: [1] * len(numbers)
