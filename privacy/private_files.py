"""The files that are declared private: a copy of one, or one under another name, is recognised by its content.

A file that a recipe marks as private is as private where it is a validation set, a set of `decontaminate`, or a second source
without the mark. So is what was learned from it (a tokenizer, marked by FILE.private) when it is copied. A file
that was written again with other columns, in another order or another format is not recognised.
"""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from corpusmill.privacy.certification import MARK, learned_from


class PrivateFiles:
    """Files of private sources, and files that were learned from them. Digests are computed when a file of equal size is asked."""

    def __init__(self, sources: Iterable[str], marked: Iterable[Path] = ()) -> None:
        """
        Args:
            sources: paths, folders or patterns on disk of private sources; those in object stores are left out.
            marked: folders in which marks (FILE.private) are looked for.
        """
        self.sources = [s for s in sources if "://" not in s]
        self.folders = list(marked)

    @cached_property
    def _by_size(self) -> dict[int, list[tuple[str, str]]]:
        """(file, what it is) by size."""
        files = [(f, f"the private source {s}") for s in self.sources for f in expanded(s)]
        for folder in self.folders:
            for mark in sorted(folder.glob(f"*{MARK}")):
                learned = str(mark)[: -len(MARK)]
                if os.path.exists(learned):
                    files.append((learned, f"a file that was learned from {', '.join(learned_from(learned))}"))
        out: dict[int, list[tuple[str, str]]] = {}
        for file, what in files:
            out.setdefault(os.path.getsize(file), []).append((file, what))
        return out

    def match(self, path: str) -> str:
        """What a file, or one of a folder or pattern, is a copy of: "" where it is none. An empty file is none."""
        for file in expanded(path):
            size = os.path.getsize(file)
            for private, what in self._by_size.get(size, ()) if size else ():
                if os.path.samefile(file, private) or _digest(file) == _digest(private):
                    return what
        return ""


def expanded(path: str) -> list[str]:
    """The files that a path, a folder or a pattern names."""
    if os.path.isdir(path):
        return sorted(os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)
    return sorted(f for f in glob.glob(path, recursive=True) if os.path.isfile(f))


_digests: dict[tuple[str, int, int], str] = {}


def _digest(file: str) -> str:
    stat = os.stat(file)
    key = (os.path.realpath(file), stat.st_size, stat.st_mtime_ns)
    if key not in _digests:
        with open(file, "rb") as f:
            _digests[key] = hashlib.file_digest(f, "sha256").hexdigest()
    return _digests[key]
