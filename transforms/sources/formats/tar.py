"""tar archives, plain or compressed: each member is read by its own format, by the rules of `archives`.

A plain archive is cut at the headers of members. A compressed one is decoded once, from the front to the back. An archive
without its end mark (a block of zeros) is truncated, and a bad file.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Iterator
from typing import Any, ClassVar

from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.sources.archives import Archive, Entry
from corpusmill.transforms.sources.compressed import Stream, open_stream
from corpusmill.transforms.sources.files import Part, compression_of
from corpusmill.transforms.sources.format import balanced
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.opened import faults_of

_BLOCK = tarfile.BLOCKSIZE
MAX_HEADER = 1 << 20
"""Bytes that the extended header of one member may have."""


class Tar(Archive):
    """tar archives, cut at members where they are not compressed."""

    name = "tar"
    extensions: ClassVar[tuple[str, ...]] = (".tar", ".tgz", ".tzst", ".tbz", ".tbz2", ".txz")
    archive: ClassVar[bool] = True
    by_bytes: ClassVar[bool] = True

    def ranges(self, path: str, size: int, target: int) -> list[tuple[int, int]]:
        """Ranges of bytes that begin at members."""
        if compression_of(path):
            return []
        # one that cannot be read stays whole: the reader names the fault, or quarantines it
        with contextlib.suppress(BadFileError):
            starts = [begin for begin, _, _ in walk(Part(path, "", size, "", 0, size, True), Budget(path, size, 1))]
            bounds = balanced([b - a for a, b in zip(starts, [*starts[1:], size])], target)
            return [(starts[a], starts[b] if b < len(starts) else size) for a, b in bounds]
        return []

    def entries(self, part: Part, budget: Budget) -> Iterator[tuple[Entry, Stream | None]]:
        """The members that begin in the part."""
        compressed = bool(compression_of(part.path))
        for number, (_, info, stream) in enumerate(walk(part, budget), 1):
            kind = "folder" if info.isdir() else "file" if info.isreg() else "link"
            problem = "is a sparse file" if info.issparse() else ""
            entry = Entry(info.name, info.size, kind, number, info, 0 if compressed else info.size, problem)
            yield entry, None if kind != "file" or problem else _Bytes(stream, info, part.path)


def walk(part: Part, budget: Budget) -> Iterator[tuple[int, tarfile.TarInfo, Any]]:
    """(byte at which its headers begin, header, stream) of each member that begins in the part."""
    with open_stream(part.path, budget, part.begin) as raw:
        stream = _Forward(raw, part.begin, part.path)
        with faults_of(part.path, "is no readable tar archive"):
            # no header is read before the loop: one that is damaged must not pass for the end
            archive: Any = tarfile.TarFile(fileobj=io.BytesIO(bytes(2 * _BLOCK)), mode="r")
        archive.fileobj, archive.offset = stream, part.begin
        while part.whole or archive.offset < part.end:
            begin = archive.offset
            info = _header(archive, stream, begin, part.path)
            if info is None:
                return
            archive.members = []
            yield begin, info, stream


def _header(archive: Any, stream: _Forward, begin: int, path: str) -> tarfile.TarInfo | None:
    """The next header, or None at the end mark."""
    damaged = f"is damaged at byte {begin} of the archive"
    stream.seek(begin)
    stream.bound = begin + MAX_HEADER
    with faults_of(path, damaged):
        try:
            info = tarfile.TarInfo.fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            return None
        except tarfile.EmptyHeaderError as error:  # type: ignore[attr-defined]
            raise BadFileError(path, f"ends at byte {begin} without the end mark of a tar archive") from error
        except (tarfile.TarError, RecursionError, TypeError, KeyError, IndexError) as error:
            raise ValueError(str(error) or type(error).__name__) from error
    stream.bound = None
    if info.size < 0 or archive.offset < begin + _BLOCK or info.offset_data < begin + _BLOCK:
        raise BadFileError(path, f"{damaged} (it gives a size below zero)")
    return info


class _Forward:
    """A stream as the file that tarfile reads headers from: it only goes forward, and no header is endless."""

    def __init__(self, stream: Stream, at: int, path: str) -> None:
        self._stream, self._at, self._path = stream, at, path
        self.bound: int | None = None
        self.name, self.mode = "", "rb"

    def tell(self) -> int:
        return self._at

    def seek(self, at: int) -> None:
        if at < self._at:
            raise BadFileError(self._path, f"names byte {at} after byte {self._at}, as no tar archive does")
        while self._at < at:
            if not self.read(min(1 << 20, at - self._at)):
                raise BadFileError(self._path, f"ends at byte {self._at}, within a member")

    def read(self, n: int) -> bytes:
        if self.bound is not None and self._at + n > self.bound:
            raise BadFileError(self._path, f"has a header of more than {MAX_HEADER >> 20} MiB")
        pieces = []
        while n > 0 and (data := self._stream.read(n)):
            pieces.append(data)
            self._at += len(data)
            n -= len(data)
        return b"".join(pieces)


class _Bytes:
    """The bytes of one member."""

    def __init__(self, stream: _Forward, info: tarfile.TarInfo, path: str) -> None:
        self._stream, self._left, self._begin, self._path = stream, info.size, info.offset_data, path

    def read(self, n: int) -> bytes:
        self._stream.seek(max(self._begin, self._stream.tell()))
        data = self._stream.read(min(n, self._left))
        if not data and self._left > 0:
            raise BadFileError(self._path, f"ends at byte {self._stream.tell()}, within a member")
        self._left -= len(data)
        return data


def member_bytes(stream: Any, info: tarfile.TarInfo, path: str) -> bytes:
    """All bytes of the member that `walk` gave last."""
    reader, pieces = _Bytes(stream, info, path), []
    while data := reader.read(1 << 20):
        pieces.append(data)
    return b"".join(pieces)
