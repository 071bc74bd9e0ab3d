"""What a source format is: the base class of the modules in `formats/`."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from typing import ClassVar

import pyarrow as pa
from pydantic import BaseModel

from corpusmill.transforms import storage
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.files import FileRef, Part
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.rows import Place
from corpusmill.transforms.sources.spec import SourceSpec

Rows = Iterator[tuple[pa.RecordBatch, Place]]
"""Record batches as a file holds them, each with a function from its row numbers to positions in the file."""


class Format(abc.ABC):
    """A source format. An object of it has no state.

    The attributes must be literals: `formats.known` reads most of them without importing the module.
    """

    name: ClassVar[str]
    """The value of `format:` in a recipe: the module's file name with '-' for '_'."""
    extensions: ClassVar[tuple[str, ...]] = ()
    """Endings of file names that `auto` takes for this format, in lower case, without those of compressions."""
    patterns: ClassVar[tuple[str, ...]] = ()
    """Regular expressions for file names that `auto` takes for this format, in lower case, without endings of compressions. They
    are asked before extensions."""
    magic: ClassVar[tuple[bytes, ...]] = ()
    """First bytes by which `auto` knows a file whose name says nothing."""
    schemes: ClassVar[tuple[str, ...]] = ()
    """Beginnings of paths that belong to this format, such as hf://; `find` lists them."""
    markers: ClassVar[tuple[str, ...]] = ()
    """Names of files by which a folder belongs to this format; `find` lists it."""
    lists: ClassVar[bool] = False
    """Whether a path names a list of files of other formats, which `find` gives; `options` then hold theirs."""
    needs_path: ClassVar[bool] = True
    """Whether a source of this format has a `path`; without one, `find` gets an empty one."""
    Options: ClassVar[type[BaseModel] | None] = None
    """The fields of `options:` of a source of this format."""
    archive: ClassVar[bool] = False
    """Whether files hold files that formats of their own read: see `archives.Archive`."""
    extra: ClassVar[str] = ""
    """The extra of corpusmill that brings the format's libraries."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Packages whose version decides what is read, so that it is part of what names the result."""
    version: ClassVar[int] = 1
    """To be raised when the same bytes are read differently: stored results of older versions are then not used."""
    by_bytes: ClassVar[bool] = False
    """Whether ranges are bytes of the file, and not row groups or record batches."""
    grows: ClassVar[bool] = False
    """Whether a file that others append to can be read up to the size at which it was listed."""
    shows_names: ClassVar[bool] = False
    """Whether documents show the name of their file, so that the name is part of the content."""
    small: ClassVar[bool] = False
    """Whether a file is about one document, so that many are put into one split."""
    alone: ClassVar[bool] = False
    """Whether each file is a split of its own, however small."""
    inferred: ClassVar[bool] = False
    """Whether only reading to the end tells the types of the columns. Batches may then differ in their schemas."""
    fails_whole: ClassVar[bool] = True
    """Whether damage inside one range makes the whole file unusable."""
    lenient: ClassVar[bool] = False
    """Whether a column that is absent from a file is read as null."""

    def finds(self, spec: SourceSpec) -> bool:
        """Whether `find` lists the paths of a source that names this format."""
        return bool(self.markers) or self.lists or not self.needs_path

    def find(self, spec: SourceSpec, path: str) -> list[FileRef] | list[tuple[storage.Entry, str]]:
        """The files of a path that only this format can list: references, or entries with the format of each."""
        raise NotImplementedError(f"{self.name} has no listing of its own")

    def kept(self, spec: SourceSpec, path: str) -> list[FileRef]:
        """Of a format with `lists`: the files of `find` that are here already. Gets none."""
        raise NotImplementedError(f"{self.name} is no list of files")

    def check_list(self, spec: SourceSpec, path: str) -> None:
        """Of a format with `lists`: raise SourceError if the list at `path` cannot be used. Gets none of its files."""
        raise NotImplementedError(f"{self.name} is no list of files")

    def ranges(self, path: str, size: int, target: int) -> list[tuple[int, int]]:
        """Ranges (begin, end) of about `target` bytes into which a large file is cut; empty if it cannot be cut."""
        return []

    def rows(self, part: Part) -> int | None:
        """Rows of a part, if the file's metadata tell."""
        return None

    def schema(self, part: Part, spec: SourceSpec) -> pa.Schema | None:
        """The schema of what `read` gives, without reading rows. None for an `inferred` format."""
        return None

    @abc.abstractmethod
    def read(self, part: Part, spec: SourceSpec, budget: Budget, bad: BadRows, rows: int) -> Rows:
        """The rows of a part, in batches of at most about `rows` rows.

        Rows that cannot be read go to `bad` (`saw` and `add`). Decoded bytes are counted by `budget` before they are used.

        Raises:
            BadFileError: the content of the file is damaged, or is of another format.
            UnreadableFileError: the file could not be read now; the content is not to blame.
        """


def balanced(sizes: list[int], target: int) -> list[tuple[int, int]]:
    """Ranges of consecutive items with about equal sums of `sizes`, each at most about `target`."""
    total = sum(sizes)
    n = max(1, min(len(sizes), -(-total // target)))
    bounds, done, k = [0], 0, 1
    for i, size in enumerate(sizes):
        done += size
        while k < n and done * n >= total * k:
            if i + 1 > bounds[-1]:
                bounds.append(i + 1)
            k += 1
    bounds = [b for b in bounds if b < len(sizes)]
    return list(zip(bounds, [*bounds[1:], len(sizes)]))
