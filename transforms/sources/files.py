"""How a file of a source is named: the file itself, the part of it that a split reads, and what its name says."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass

from corpusmill.transforms.sources.formats import COMPRESSIONS, SHORT

_ENDING = re.compile(r"(?:\.[a-z0-9-]{1,12}){1,2}\Z")


@dataclass(frozen=True, order=True)
class FileRef:
    """A file of a source. path: absolute path or URI; name: its path below the folder the recipe names, which is what a
    document may show; digest: 32 hexadecimal digits that change when the content does; stamp: that of the file system or
    store, or empty if the digest is not one of the content."""

    path: str
    name: str
    format: str
    size: int
    stamp: str
    digest: str


@dataclass(frozen=True, order=True)
class Part:
    """A file or a range of one. begin, end: row groups (Parquet), record batches (Arrow file), bytes (plain JSONL: the lines
    that begin there), else 0 and the size; whole: the range is the file; checked: the digest is one of the content, which the
    file must still have; stamp: that of the file's listing, or empty where it is not known."""

    path: str
    name: str
    size: int
    digest: str
    begin: int
    end: int
    whole: bool
    checked: bool = False
    stamp: str = ""


def listed_as(path: str, size: int, stamp: str) -> str:
    """The name under which a listing remembers the digest of a file."""
    return f"{path}|{size}|{stamp}"


def compression_of(path: str) -> str:
    """The compression that a file's name says (`gzip`, `zstd`, `bz2`, `xz`), or an empty string."""
    return (COMPRESSIONS | SHORT).get(os.path.splitext(path.lower())[1], "")


def ending_of(name: str) -> str:
    """The last extensions of a name, if they are plain letters: they tell readers the format and the compression."""
    found = _ENDING.search(name.rpartition("/")[2].lower())
    return found[0] if found else ""


def digest_of(*words: object) -> str:
    """32 hexadecimal digits of a few words."""
    return hashlib.sha256("\0".join(map(str, words)).encode("utf-8", "backslashreplace")).hexdigest()[:32]
