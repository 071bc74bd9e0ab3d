"""Addresses of a list, fetched from the web and kept in a folder: each file is read by its own format.

The path names the list: a text file with one address a line (`#` begins a comment line), or CSV, JSONL or Parquet with a column
`url`. HTML becomes a web archive of one record, so that its pages have the columns of `warc`. What is not there becomes a bad row,
what must not be fetched is left out and counted.
"""

from __future__ import annotations

import json
import os
from typing import ClassVar

from pydantic import BaseModel

from corpusmill.transforms import storage
from corpusmill.transforms.errors import SourceError
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.documents.whole import whole
from corpusmill.transforms.sources.fetch.address import read_addresses
from corpusmill.transforms.sources.fetch.fetch import fetch
from corpusmill.transforms.sources.fetch.settings import Fetch
from corpusmill.transforms.sources.fetch.stored import Cache
from corpusmill.transforms.sources.files import FileRef, Part
from corpusmill.transforms.sources.format import Format, Rows
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.spec import SourceSpec


class Urls(Format):
    """Lists of addresses. `read` is of the small files that say why an address gave none."""

    name = "urls"
    Options: ClassVar[type[BaseModel] | None] = Fetch
    lists = True
    extra = "web"
    libraries = ("Protego",)
    by_bytes: ClassVar[bool] = True
    shows_names: ClassVar[bool] = True
    small: ClassVar[bool] = True

    def find(self, spec: SourceSpec, path: str) -> list[FileRef] | list[tuple[storage.Entry, str]]:
        """The files of the addresses, fetched where they are due."""
        settings = Fetch.model_validate(spec.options)
        return fetch(self.addresses(spec, path), settings, _folder(settings, path), path)

    def kept(self, spec: SourceSpec, path: str) -> list[FileRef]:
        """The files in the cache. Fetches nothing."""
        cache = Cache(_folder(Fetch.model_validate(spec.options), path))
        notes = (cache.get(address) for address in self.addresses(spec, path))
        return [cache.file(note) for note in notes if note is not None]

    def addresses(self, spec: SourceSpec, path: str) -> list[str]:
        """The addresses of a list. Fetches nothing.

        Raises:
            BadFileError: the list cannot be read, or holds something that is no address.
            SourceError: the list does not lie on a disk, or is empty.
        """
        if not storage.is_local(path):
            raise SourceError(
                f"source '{spec.name}': {path} must lie on a disk. To go on: copy the list beside the recipe."
            )
        found = read_addresses(storage.local_path(path))
        if not found:
            raise SourceError(f"source '{spec.name}': {path} names no address. To go on: write one a line.")
        return found

    def check_list(self, spec: SourceSpec, path: str) -> None:
        """Raise what `addresses` raises."""
        self.addresses(spec, path)

    def read(self, part: Part, spec: SourceSpec, budget: Budget, bad: BadRows, rows: int) -> Rows:
        """Nothing but what is counted: a bad row, or an address that is left out."""
        said = json.loads(whole(part, budget))
        if said["kind"] == "bad":
            bad.saw(1)
            bad.add(part.path, 0, said["reason"], said["detail"], said["address"])
        else:
            bad.leave_out(said["reason"] or "address that cannot be reached now", said["address"])
        yield from ()


def _folder(settings: Fetch, path: str) -> str:
    """The cache of the list at `path`."""
    return os.path.join(os.path.dirname(storage.local_path(path)), os.path.expanduser(settings.cache))
