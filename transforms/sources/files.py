"""How a file of a source is named: the file itself, the part of it that a split reads, and what its name says."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

EXTENSIONS = {
    "parquet": (".parquet", ".pq"),
    "arrow": (".arrow", ".arrows", ".feather", ".ipc"),
    "jsonl": (".jsonl", ".ndjson", ".json"),
    "text": (".txt", ".text", ".md", ".markdown", ".rst", ".html", ".htm", ".adoc", ".org", ".tex"),
}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".xz": "xz"}
STREAMED = "hf://"


@dataclass(frozen=True, order=True)
class FileRef:
    """A file of a source. path: absolute path or URI; name: its path below the folder the recipe names, which is what a
    document may show; digest: 32 hexadecimal digits that change when the content does."""

    path: str
    name: str
    format: str
    size: int
    stamp: str
    digest: str


@dataclass(frozen=True, order=True)
class Part:
    """A file or a range of one. begin, end: row groups (Parquet), record batches (Arrow file), bytes (plain JSONL: the lines
    that begin there), else 0 and the size; whole: the range is the file."""

    path: str
    name: str
    size: int
    digest: str
    begin: int
    end: int
    whole: bool


def bare_extension(path: str) -> tuple[str, str]:
    """(extension without the compression's, compression's extension or ''), in lower case."""
    stem, extension = os.path.splitext(path.lower())
    if extension in COMPRESSIONS:
        return os.path.splitext(stem)[1], extension
    return extension, ""


def format_of(path: str) -> str | None:
    """The format that a file's name says, or None."""
    extension, _ = bare_extension(path)
    return next((f for f, known in EXTENSIONS.items() if extension in known), None)


def digest_of(*words: object) -> str:
    """32 hexadecimal digits of a few words."""
    return hashlib.sha256("\0".join(map(str, words)).encode("utf-8", "backslashreplace")).hexdigest()[:32]
