"""What was read is what was listed: results are stored under the digest of a file, so the file must not change meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from corpusmill.transforms import storage
from corpusmill.transforms.errors import BadFileError, ChangedFileError
from corpusmill.transforms.sources.files import Part
from corpusmill.transforms.sources.listing import content_digest
from corpusmill.transforms.sources.opened import faults_of

T = TypeVar("T")


def unchanged(part: Part, batches: Iterator[T], grows: bool) -> Iterator[T]:
    """`batches`, read from a part; after the last one, the file is known to be the one that was listed.

    Size, times and inode are compared. Where they differ or are not known (another machine has its own copy, a log has grown),
    the content decides. A fault of the content counts only if the content is that of the listing.

    Args:
        grows: the format reads front to back and no further than the listed size, so that lines may be appended.

    Raises:
        ChangedFileError: the file was written, replaced, cut or removed after it was listed.
    """
    if not part.checked:
        yield from batches
        return
    before = _state(part)
    check_unchanged(part, grows)
    try:
        yield from batches
    except BadFileError:
        check_unchanged(part, grows)
        raise
    if _state(part) != before:
        _compare(part, grows)


def check_unchanged(part: Part, grows: bool) -> None:
    """Raises ChangedFileError if the file of a part is not the one that was listed."""
    if part.checked and _state(part) != (part.size, part.stamp):
        _compare(part, grows)


def _state(part: Part) -> tuple[int, str]:
    with faults_of(part.path, "cannot be read"):
        entry = storage.stat(part.path)
    return entry.size, entry.stamp


def _compare(part: Part, grows: bool) -> None:
    size = _state(part)[0]
    if size < part.size or (size > part.size and not grows) or content_digest(part.path, part.size) != part.digest:
        raise ChangedFileError(part.path)
