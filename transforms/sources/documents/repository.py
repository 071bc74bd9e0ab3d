"""A repository as documents: its files in the order in which they need each other, cut at files where it is too long."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from corpusmill.transforms.rights.recognise import joined
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.documents.imports import Imports
from corpusmill.transforms.sources.documents.need_order import in_order
from corpusmill.transforms.sources.documents.source_code import SourceFile, is_licence_file, source_file

_README = re.compile(r"readme(?:\.[a-z]+)?\Z", re.IGNORECASE)


class Options(BaseModel):
    """What becomes a document."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Literal["file", "repository"] = Field("file", description="One document a file, or one a repository.")
    header: str = Field(
        "=== {path} ===\n", max_length=1000, description="repository: text before each file; {path} is its path."
    )
    max_file_bytes: int = Field(1 << 20, ge=1, description="repository: larger files are left out.")
    max_bytes: int = Field(
        16 << 20, ge=1, description="repository: a longer one becomes several documents, cut between files."
    )


@dataclass
class Document:
    """A repository, or its part of this number from 1. language: that of most bytes of source; licence: of its licence
    files, else of its files."""

    text: str
    files: list[str]
    part: int
    language: str | None
    licence: str | None


def _taken(name: str, data: bytes, options: Options, bad: BadRows, shown: str) -> SourceFile | None:
    """A file of the documents; None for one that is left out, which is counted."""
    if len(data) > options.max_file_bytes:
        bad.leave_out("large file", shown)
        return None
    found = source_file(name, data)
    if isinstance(found, str):
        bad.leave_out(found, shown)
    elif found.generated or found.vendored:
        bad.leave_out("generated file" if found.generated else "vendored file", shown)
    else:
        return found
    return None


def documents(files: Iterable[tuple[str, bytes]], options: Options, bad: BadRows, shown: str) -> Iterator[Document]:
    """The documents of one repository; none if it has no file of text.

    Args:
        files: path in the repository and content of each file.
        shown: the name of the repository.
    """
    found = {n: file for n, data in files if (file := _taken(n, data, options, bad, f"{shown}/{n}"))}
    if not found:
        return
    imports = Imports({name: file.text for name, file in found.items()})
    needs = {name: imports.of(name) for name in found}
    order = in_order(needs)
    first = [n for n in order if "/" not in n and _README.match(n)]
    order = first + [n for n in order if n not in first]
    sizes: Counter[str] = Counter()
    for file in found.values():
        if file.language:
            sizes[file.language] += len(file.text)
    language = min(sizes, key=lambda name: (-sizes[name], name)) if sizes else None
    licence = _licence(found)
    held: list[str] = []
    pieces: list[str] = []
    size = part = 0
    for name in order:
        piece = f"{options.header.replace('{path}', name)}{found[name].text.rstrip()}\n\n"
        length = len(piece.encode("utf-8", "replace"))
        if held and size + length > options.max_bytes:
            part += 1
            yield Document("".join(pieces).rstrip() + "\n", held, part, language, licence)
            held, pieces, size = [], [], 0
        held.append(name)
        pieces.append(piece)
        size += length
    yield Document("".join(pieces).rstrip() + "\n", held, part + 1, language, licence)


def _licence(files: dict[str, SourceFile]) -> str | None:
    """What the licence files nearest to the root state, else what the files state, joined by AND."""
    stated = {n: f.licence for n, f in files.items() if f.licence}
    named = [n for n in stated if is_licence_file(n)]
    own = [n for n in named if not posixpath.basename(n).lower().startswith("notice")] or named
    depth = min((n.count("/") for n in own), default=0)
    chosen = [stated[n] for n in sorted(own) if n.count("/") == depth] or [stated[n] for n in sorted(stated)]
    return joined(part for e in chosen for part in (e.split(" AND ") if "(" not in e else [e])) or None


def root_of(names: Iterable[str]) -> str:
    """The folder, with a slash at its end, that all names of an archive lie in; empty if there is none."""
    heads = {name.partition("/")[0] if "/" in name else "" for name in names}
    return posixpath.join(heads.pop(), "") if len(heads) == 1 and "" not in heads else ""
