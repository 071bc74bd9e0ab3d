"""ZIP archives: each member is read by its own format, by the rules of `archives`.

The central directory says what the members decode to, so a bomb is refused before anything is decoded. Members that lie over
each other, as in bombs that use the same bytes many times (Fifield 2019), are refused, too.
"""

from __future__ import annotations

import contextlib
import stat
import struct
import zipfile
from collections.abc import Iterator
from typing import Any, ClassVar

from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.sources.archives import Archive, Entry, refuse
from corpusmill.transforms.sources.compressed import FAULTS, Stream
from corpusmill.transforms.sources.files import Part
from corpusmill.transforms.sources.format import balanced
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.opened import fault, faults_of, open_file, passing

_LOCAL_HEADER = 30
_ENCRYPTED = 0x1


class Zip(Archive):
    """ZIP archives, cut by members."""

    name = "zip"
    extensions: ClassVar[tuple[str, ...]] = (".zip",)
    archive: ClassVar[bool] = True

    def ranges(self, path: str, size: int, target: int) -> list[tuple[int, int]]:
        """Ranges of members, by their number in the central directory."""
        # one that cannot be read stays whole: the reader names the fault, or quarantines it
        with contextlib.suppress(BadFileError), _opened(path) as file:
            return balanced([max(1, info.compress_size) for info in file.infolist()], target)
        return []

    def entries(self, part: Part, budget: Budget) -> Iterator[tuple[Entry, Stream | None]]:
        """The members of the part, in the order of the central directory."""
        with _opened(part.path) as file:
            infos = file.infolist()
            _check(part.path, infos, budget)
            begin, end = (0, len(infos)) if part.whole else (part.begin, part.end)
            for number, info in enumerate(infos[begin:end], begin + 1):
                entry = _entry(info, number)
                if entry.kind != "file" or entry.fault:
                    yield entry, None
                    continue
                with contextlib.closing(_Decoded(file, info, part.path, budget)) as stream:
                    yield entry, stream


@contextlib.contextmanager
def _opened(path: str) -> Iterator[zipfile.ZipFile]:
    with open_file(path) as f:
        with faults_of(path, "is no readable ZIP archive"):
            try:
                file = zipfile.ZipFile(f)
            except (zipfile.BadZipFile, NotImplementedError, RecursionError, struct.error, LookupError) as error:
                raise ValueError(error) from error
        yield file


def _check(path: str, infos: list[zipfile.ZipInfo], budget: Budget) -> None:
    """Refuse an archive that says it decodes to too much, or whose members share bytes."""
    budget.check(sum(info.file_size for info in infos))
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            what = f"has members that lie over each other, such as '{info.filename}', as a decompression bomb does"
            raise BadFileError(path, what)
        end = info.header_offset + _LOCAL_HEADER + info.compress_size


def _entry(info: zipfile.ZipInfo, number: int) -> Entry:
    mode = info.external_attr >> 16 if info.create_system == 3 else 0
    kind = (
        "folder"
        if info.filename.endswith("/")
        else "link"
        if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode)
        else "file"
    )
    known = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    problem = "" if known else f"is compressed by method {info.compress_type}, which is not read"
    problem = "is encrypted" if info.flag_bits & _ENCRYPTED else problem
    # the name as it stands in the file: zipfile ends it at a null byte
    return Entry(info.orig_filename, info.file_size, kind, number, info, info.compress_size, problem)


class _Decoded:
    """The bytes of a member, at most as many as the directory says, with its checksum compared at the end."""

    def __init__(self, file: zipfile.ZipFile, info: zipfile.ZipInfo, path: str, budget: Budget) -> None:
        self._info, self._path, self._budget, self._left = info, path, budget, info.file_size
        self._file = file
        self._stream: Any = None

    def read(self, n: int) -> bytes:
        try:
            if self._stream is None:
                self._stream = self._file.open(self._info)
            data: bytes = self._stream.read(n)
        except (*FAULTS, zipfile.BadZipFile, NotImplementedError, RuntimeError, struct.error, LookupError) as error:
            if passing(error):
                raise fault(self._path, error, "cannot be read") from error
            raise refuse(f"is damaged ({error})") from error
        self._left -= len(data)
        if (not data and self._left > 0) or self._left < 0:
            raise refuse("is damaged (its size is not what the directory of the archive says)")
        self._budget.spend(len(data))
        return data

    def close(self) -> None:
        """Free the decoder."""
        if self._stream is not None:
            self._stream.close()
