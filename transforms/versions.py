"""Digests of files and versions of libraries, as fingerprints hold them."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import unicodedata

from corpusmill.transforms.errors import RecipeError


@functools.cache
def library_version(library: str) -> str:
    """The version of an installed distribution, or "" without one; of "unicode", that of Python's Unicode tables."""
    if library == "unicode":
        return unicodedata.unidata_version
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return ""  # the step itself says that it is missing


def file_digest(path: str) -> str:
    """SHA-256 of a file that a step names, in hexadecimal digits; read once until the file changes.

    Raises:
        RecipeError: it cannot be read.
    """
    try:
        stat = os.stat(path)
        return _digest_of(path, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}; a step names this file") from None


@functools.lru_cache(256)
def _digest_of(path: str, size: int, stamp: int) -> str:
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
