"""WebDataset: tar files in which the files of one sample follow each other and have one key: `0001.txt`, `0001.json`, `0001.jpg`.

One row a sample. `__key__` is the key: the name up to the first dot behind the last slash. Each other extension is a column of
text. Each field of a `json` object is a column `json.FIELD`: texts as they are, other values as JSON. Without a column for the
role `text`, that is `txt`, else `json.text`. Images, sound and other binary files are left out and counted.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import pyarrow as pa

from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.sources.archives import LINK
from corpusmill.transforms.sources.bad import BadRows, printable
from corpusmill.transforms.sources.files import Part, compression_of
from corpusmill.transforms.sources.format import Format, Rows, balanced
from corpusmill.transforms.sources.formats.tar import member_bytes, walk
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.rows import Place
from corpusmill.transforms.sources.schema import json_text
from corpusmill.transforms.sources.spec import SourceSpec

_NAME = re.compile(r"((?:.*/)?[^./]+)\.([^/]+)\Z", re.DOTALL)
_BINARY = frozenset(
    "jpg jpeg png webp gif bmp tif tiff ppm pgm pbm heic avif svgz mp3 wav flac ogg opus m4a aac mp4 avi mov mkv webm npy npz "
    "npz.gz pth pt ten tenbin safetensors pkl pickle pyd bin mp msgpack arrow parquet zip tar gz zst bz2 xz cbor".split()
)
BINARY = "binary file"
_BATCH_BYTES = 8 << 20


@dataclass
class _Sample:
    key: str
    offset: int
    values: dict[str, str | bytes | None] = field(default_factory=dict)
    fault: tuple[str, str] | None = None
    size: int = 0


class Webdataset(Format):
    """WebDataset tar files, cut between samples where they are not compressed."""

    name = "webdataset"
    by_bytes: ClassVar[bool] = True
    inferred: ClassVar[bool] = True
    lenient: ClassVar[bool] = True
    fails_whole: ClassVar[bool] = False

    def ranges(self, path: str, size: int, target: int) -> list[tuple[int, int]]:
        """Ranges of bytes that begin at samples."""
        if compression_of(path):
            return []
        # one that cannot be read stays whole: the reader names the fault, or quarantines it
        with contextlib.suppress(BadFileError):
            starts: list[int] = []
            last: str | None = None
            for begin, info, _ in walk(Part(path, "", size, "", 0, size, True), Budget(path, size, 1)):
                key = _split(info.name)[0] if info.isreg() else last
                if key != last or not starts:
                    starts.append(begin)
                last = key
            bounds = balanced([b - a for a, b in zip(starts, [*starts[1:], size])], target)
            return [(starts[a], starts[b] if b < len(starts) else size) for a, b in bounds]
        return []

    def read(self, part: Part, spec: SourceSpec, budget: Budget, bad: BadRows, rows: int) -> Rows:
        """The samples that begin in the part; a sample's position is the byte at which it begins in the archive."""
        held: list[_Sample] = []
        size = 0
        for sample in _samples(part, spec, budget, bad):
            if sample.fault is not None:
                bad.saw(1)
                bad.add(part.path, sample.offset, *sample.fault, sample.key)
                continue
            held.append(sample)
            size += sample.size
            if len(held) == rows or size > _BATCH_BYTES:
                yield _batch(held, spec)
                held, size = [], 0
        if held:
            yield _batch(held, spec)


def _split(name: str) -> tuple[str, str]:
    found = _NAME.match(name.removeprefix("./"))
    return (found[1], found[2].lower()) if found else (name, "")


def _samples(part: Part, spec: SourceSpec, budget: Budget, bad: BadRows) -> Iterator[_Sample]:
    sample: _Sample | None = None
    for begin, info, stream in walk(part, budget):
        if not info.isreg() or info.issparse():
            if not info.isdir():
                bad.leave_out(LINK, f"{part.name}/{info.name}")
            continue
        key, extension = _split(info.name)
        if sample is None or key != sample.key:
            if sample is not None and sample.values:
                yield sample
            sample = _Sample(key, begin)
        if not extension or extension in _BINARY or extension.rpartition(".")[2] in _BINARY:
            bad.leave_out(BINARY, f"{part.name}/{info.name}")
        elif info.size > spec.max_document_bytes:
            sample.values["__key__"] = printable(key)
            sample.fault = ("too-long", f"'{extension}' has more than max_document_bytes={spec.max_document_bytes}")
        else:
            _take(sample, extension, member_bytes(stream, info, part.path))
    if sample is not None and sample.values:
        yield sample


def _take(sample: _Sample, extension: str, data: bytes) -> None:
    """Add a file to a sample."""
    sample.values.setdefault("__key__", printable(sample.key))
    sample.size += len(data)
    if extension in sample.values:
        sample.fault = ("bad-record", f"the sample has two files '{extension}'")
    if extension != "json":
        sample.values[extension] = data
        return
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        sample.fault = ("not-json", f"'json' is no JSON ({error})")
        return
    fields = value if isinstance(value, dict) else {"": value}
    for name, each in fields.items():
        text = json_text(each)
        sample.values[f"json.{name}".removesuffix(".")] = None if text is None else text.encode("utf-8", "replace")


def _batch(samples: list[_Sample], spec: SourceSpec) -> tuple[pa.RecordBatch, Place]:
    names = dict.fromkeys(name for s in samples for name in s.values)
    columns = {name: pa.array([_bytes(s.values.get(name)) for s in samples], pa.binary()) for name in names}
    if "text" not in spec.columns and "text" not in columns:
        # of each sample alone, so that the same samples give the same rows however the file is cut
        texts = [s.values.get("txt", s.values.get("json.text")) for s in samples]
        columns["text"] = pa.array([_bytes(t) for t in texts], pa.binary())
        columns.pop("txt", None)
    strings = {n: c if n == "text" or n == spec.column("text") else _text(c) for n, c in columns.items()}
    offsets = [s.offset for s in samples]
    batch = pa.RecordBatch.from_arrays(list(strings.values()), names=list(strings))
    return batch, lambda rows: [offsets[int(r)] for r in rows]


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _text(column: pa.Array) -> pa.Array:
    """Bytes as text; those that are not UTF-8 are written as \\xNN."""
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array(
            [None if v is None else v.decode("utf-8", "backslashreplace") for v in column.to_pylist()], pa.string()
        )
