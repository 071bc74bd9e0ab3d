"""Archives: files that hold files, each of which is read by its own format.

A member is copied to a temporary file whose name corpusmill makes up, because readers seek. Its own name is only shown, never
used as a path. What an archive holds is counted against one `Budget`, members within compressed members too. These rules hold:

    names        absolute ones and those with `..` are refused: the member is a bad file
    links        symbolic and hard links, devices and pipes are left out and counted; nothing is followed
    archives     an archive within an archive is refused, so that no quine or nest of bombs is opened
    formats      by extension and content, or `options: {format: ...}`; members of unknown formats are left out and counted
    hidden       members whose path has a part that begins with a dot, or is `__MACOSX`, are left out, as in folders
"""

from __future__ import annotations

import abc
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.sources import formats
from corpusmill.transforms.sources.bad import BadRows, printable
from corpusmill.transforms.sources.compressed import Stream, first_bytes
from corpusmill.transforms.sources.files import Part, compression_of, ending_of
from corpusmill.transforms.sources.format import Format, Rows
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.spec import SourceSpec

_CHUNK = 1 << 20
UNKNOWN, HIDDEN, LINK = "unknown member", "hidden member", "linked member"
"""Kinds of members that are left out; links are symbolic and hard links, devices and pipes."""


@dataclass(frozen=True)
class Member:
    """A file in an archive. format: its format's name; part: its bytes in a temporary file, which lives until the next member is
    asked for, under the member's name; shown: archive and member, for messages; stored: the bytes that it takes in the archive,
    0 where the archive is compressed as a whole; fault: why it cannot be read, or None."""

    format: str
    part: Part
    shown: str
    stored: int = 0
    fault: BadFileError | None = None


@dataclass(frozen=True)
class Entry:
    """What an archive says of a member. kind: `file`, `folder`, or what else it is; position: 1-based number in the archive;
    handle: what the archive's library calls it."""

    name: str
    size: int
    kind: str
    position: int
    handle: Any
    stored: int = 0
    fault: str = ""


class Options(BaseModel):
    """What the members of an archive are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = Field("auto", description="Format of the members; `auto` goes by extension and content.")
    options: dict[str, Any] = Field(default_factory=dict, description="Options of that format.")

    @field_validator("format")
    @classmethod
    def _known(cls, value: str) -> str:
        return formats.of_files_within(value, "member", lambda known: not (known.archive or known.lists))


class Archive(Format):
    """A format whose files hold files. Derived classes set `archive` and give `entries` and `open`."""

    archive: ClassVar[bool] = True
    Options: ClassVar[type[BaseModel] | None] = Options
    inferred: ClassVar[bool] = True
    shows_names: ClassVar[bool] = True
    fails_whole: ClassVar[bool] = False
    lenient: ClassVar[bool] = True

    @abc.abstractmethod
    def entries(self, part: Part, budget: Budget) -> Iterator[tuple[Entry, Stream | None]]:
        """Each member of a part, with the stream of its decoded bytes where it is a file without a fault."""

    def members(self, part: Part, spec: SourceSpec, budget: Budget, bad: BadRows) -> Iterator[Member]:
        """The members of a part that a format reads, one after the other.

        Raises:
            BadFileError: the archive is damaged, or holds no file of a known format.
        """
        options = Options.model_validate(spec.options)
        seen, left = 0, ""
        with tempfile.TemporaryDirectory(prefix="corpusmill-") as folder:
            for entry, stream in self.entries(part, budget):
                if entry.kind == "folder":
                    continue
                shown = f"{part.path}/{printable(entry.name)}"
                name = entry.name.removeprefix("./")
                pieces = name.replace("\\", "/").split("/")
                if any(p == "__MACOSX" or (p.startswith(".") and p != "..") for p in pieces):
                    bad.leave_out(HIDDEN, f"{part.name}/{name}")
                    continue
                if entry.kind != "file":
                    bad.leave_out(LINK, f"{part.name}/{name}")
                    continue
                form = options.format if options.format != "auto" else formats.by_extension(name)
                file = os.path.join(folder, f"{entry.position}{ending_of(name)}")
                fault, size = _refused(shown, entry, form), 0
                if fault is None and stream is not None:
                    try:
                        head = b"" if form else stream.read(64)
                        packed = form is None and bool(compression_of(name))
                        size = _copy(stream, file, head) if packed else 0
                        form = form or formats.by_content(first_bytes(file) if packed else head)
                        if form is None:
                            left = left or name
                            bad.leave_out(UNKNOWN, f"{part.name}/{name}")
                            continue
                        size = size or _copy(stream, file, head)
                    except _Refused as error:
                        fault = BadFileError(shown, error.args[0])
                seen += 1
                own = Part(file, f"{part.name}/{name}", size, "", 0, size, True)
                yield Member(form or "text", own, shown, entry.stored, fault)
                if os.path.exists(file):
                    os.unlink(file)
        if part.whole and not seen and left:
            raise BadFileError(
                part.path,
                f"holds no file of a known format; one of its members is {printable(left)}",
                "name the format of its members, as in `format: zip` and `options: {format: jsonl}`",
            )

    def of_members(self, spec: SourceSpec, form: str) -> SourceSpec:
        """The source as the members see it."""
        options = spec.options.get("options", {}) if spec.format != "auto" else {}
        return spec.model_copy(update={"format": form, "options": options})

    def read(self, part: Part, spec: SourceSpec, budget: Budget, bad: BadRows, rows: int) -> Rows:
        """The rows of all members, as their own formats give them. `read_split` goes by `members`, and knows each one's name."""
        for member in self.members(part, spec, budget, bad):
            if member.fault is not None:
                raise member.fault
            inner = Budget(member.part.path, member.part.size, spec.max_expansion, budget)
            yield from formats.load(member.format).read(
                member.part, self.of_members(spec, member.format), inner, bad, rows
            )


class _Refused(Exception):  # noqa: N818
    """Why the bytes of a member cannot be had."""


def refuse(what: str) -> Exception:
    """The error that a member's stream raises where the member alone is damaged."""
    return _Refused(what)


def _refused(shown: str, entry: Entry, form: str | None) -> BadFileError | None:
    """Why a member is not to be read, from its name and what the archive says of it."""
    what = entry.fault
    name = entry.name.replace("\\", "/")
    if not name or name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in name.split("/") or "\0" in name:
        what = "has a name that leads out of the archive"
    elif form is not None and (formats.known()[form].archive or formats.known()[form].schemes):
        what = "is an archive within an archive"
    if not what:
        return None
    todo = "unpack it yourself if you trust it, or set `on_bad_file: skip` to quarantine the member"
    return BadFileError(shown, what, todo)


def _copy(stream: Stream, file: str, head: bytes) -> int:
    """Write what is left of a stream to a file; its size."""
    with open(file, "wb") as out:
        size = out.write(head)
        while data := stream.read(_CHUNK):
            size += out.write(data)
    return size
