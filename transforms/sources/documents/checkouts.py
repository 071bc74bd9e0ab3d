"""Where repositories lie: checkouts in folders, and archives."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

from corpusmill.transforms import storage
from corpusmill.transforms.errors import BadFileError, ChangedFileError, EngineError
from corpusmill.transforms.sources import formats
from corpusmill.transforms.sources.archives import Archive
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.documents.repository import root_of
from corpusmill.transforms.sources.files import FileRef, Part, digest_of
from corpusmill.transforms.sources.limits import Budget
from corpusmill.transforms.sources.listing import content_digest
from corpusmill.transforms.sources.opened import faults_of
from corpusmill.transforms.sources.spec import SourceSpec


def repositories(path: str) -> list[FileRef]:
    """The repositories of a path. An archive is one. In folders, it is the outermost folder with `.git`; without any, the
    folder that the path names, and of a pattern, each folder below its fixed part."""
    pattern = storage.has_magic(path) and not storage.is_dir(path)
    top = storage.glob_root(path) if pattern else path
    found: dict[str, list[storage.Entry]] = {}
    marked: dict[str, bool] = {}
    for entry in storage.list_glob(path):
        if _archive(entry.uri):
            found[entry.uri] = [entry]
            continue
        inner = entry.uri.removeprefix(top).lstrip("/").split("/")[:-1]
        above = [top, *(storage.join(top, "/".join(inner[: i + 1])) for i in range(len(inner)))]
        default = above[1] if pattern and len(above) > 1 else top
        root = next((folder for folder in above if _has_git(folder, marked)), default)
        found.setdefault(root, []).append(entry)
    refs = []
    for root, entries in sorted(found.items()):
        name = root.removeprefix(top).strip("/") or os.path.basename(root.rstrip("/")) or "repository"
        if _archive(root):
            refs.append(_of_archive(entries[0], name))
            continue
        files = [(e.uri.removeprefix(root).lstrip("/"), content_digest(e.uri, e.size)) for e in entries]
        size = sum(e.size for e in entries)
        refs.append(FileRef(root, name, "code", size, "", _digest(files)))
    return refs


def _of_archive(entry: storage.Entry, name: str) -> FileRef:
    return FileRef(entry.uri, name, "code", entry.size, entry.stamp, content_digest(entry.uri, entry.size))


def _archive(path: str) -> str:
    form = formats.by_extension(path)
    return form if form is not None and formats.known()[form].archive else ""


def _has_git(folder: str, marked: dict[str, bool]) -> bool:
    if folder not in marked:
        marked[folder] = storage.is_local(folder) and storage.exists(storage.join(folder, ".git"))
    return marked[folder]


def _digest(files: list[tuple[str, str]]) -> str:
    return digest_of(*(word for pair in sorted(files) for word in pair))


def files_of(part: Part, spec: SourceSpec, budget: Budget, bad: BadRows) -> Iterator[tuple[str, bytes]]:
    """Path in the repository and content of each file.

    Raises:
        ChangedFileError: a file of a folder changed since it was listed.
        BadFileError: an archive is damaged, or the path is neither a folder nor an archive.
    """
    kind = _archive(part.path)
    if kind:
        yield from _members(kind, part, spec, budget, bad)
        return
    if not storage.is_dir(part.path):
        todo = "name folders or archives as the `path` of a source with `format: code`"
        raise BadFileError(part.path, "is no repository: `by: repository` reads folders and archives", todo)
    digests = []
    for entry in storage.list_glob(part.path):
        with faults_of(entry.uri, "cannot be read"):
            data = storage.read_bytes(entry.uri)
        name = entry.uri.removeprefix(part.path).lstrip("/")
        digests.append((name, _content(data)))
        yield name, data
    if part.digest and _digest(digests) != part.digest:
        raise ChangedFileError(part.path, "changed while it was read")


def _content(data: bytes) -> str:
    """What `content_digest` gives of a file with these bytes."""
    return hashlib.sha256(data).hexdigest()[:32]


def _members(kind: str, part: Part, spec: SourceSpec, budget: Budget, bad: BadRows) -> Iterator[tuple[str, bytes]]:
    archive = formats.load(kind)
    if not isinstance(archive, Archive):
        raise EngineError(f"the format {kind} is no archive")
    inner = spec.model_copy(update={"format": kind, "options": {"format": "code"}})
    held: list[tuple[str, bytes]] = []
    for member in archive.members(part, inner, budget, bad):
        name = member.part.name.removeprefix(f"{part.name}/")
        if member.fault is not None:
            if spec.on_bad_file != "skip":
                raise member.fault
            bad.saw(1)
            bad.add(part.path, 0, "bad-file", f"{name}: {member.fault.what}")
            continue
        with open(member.part.path, "rb") as f:
            held.append((name, f.read()))
    root = root_of(name for name, _ in held)
    yield from ((name.removeprefix(root), data) for name, data in held)
