"""Files, local and remote, behind two dozen functions.

A path without a scheme (and `file://`) is local and goes through `os` (`local.py`); `s3://` and `gs://` go through the store's
own client (`s3.py`, `gcs.py`), everything else through fsspec (`other.py`). Three kinds of write matter:

    write_atomic       the file is there whole or not at all; an older one is replaced
    create_exclusive   compare-and-set: exactly one of many writers of a name succeeds (numbered manifests, locks)
    replace_if         compare-and-set: written only if the file is the one that was read

An object store shows an object when it is whole; local files are written beside their target and renamed. Credentials of a
store come from where its client looks for them, never from a URI.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, TypeVar

from corpusmill.transforms.storage import local
from corpusmill.transforms.storage.local import TEMPORARY, publish, temporary_name, walk
from corpusmill.transforms.storage.objects import at_once, objects
from corpusmill.transforms.storage.paths import (
    Entry,
    absolute,
    glob_root,
    has_magic,
    is_local,
    join,
    local_path,
    translate,
)

T = TypeVar("T")
R = TypeVar("R")


def exists(uri: str) -> bool:
    """Whether a file (locally: or a folder) of this name exists."""
    if is_local(uri):
        return os.path.exists(local_path(uri))
    store = objects(uri)
    return store.exists(uri) or store.is_dir(uri)


def has_file(uri: str) -> bool:
    """Whether there is a file of this name."""
    return os.path.exists(local_path(uri)) if is_local(uri) else objects(uri).exists(uri)


def is_dir(uri: str) -> bool:
    """Whether `uri` is a folder (or, remotely, a prefix that has files)."""
    return os.path.isdir(local_path(uri)) if is_local(uri) else objects(uri).is_dir(uri)


def open_input(uri: str) -> BinaryIO:
    """A seekable binary file for reading."""
    if is_local(uri):
        return open(local_path(uri), "rb")
    from corpusmill.transforms.storage.ranged import Ranged

    return Ranged(objects(uri), uri)  # type: ignore[return-value]


def arrow_input(uri: str, mapped: bool = True) -> Any:
    """A file for Arrow's readers: a local one mapped into memory, or read where not `mapped`; a remote one read in ranges."""
    import pyarrow as pa

    if is_local(uri):
        return pa.memory_map(local_path(uri)) if mapped else pa.OSFile(local_path(uri))
    return pa.PythonFile(open_input(uri), "r")


def read_bytes(uri: str) -> bytes:
    """The whole content."""
    if is_local(uri):
        with local.naming(local_path(uri)), open(local_path(uri), "rb") as f:
            return f.read()
    return objects(uri).get(uri)


def stat(uri: str) -> Entry:
    """Size and stamp of one file; raises FileNotFoundError."""
    return local.stat(local_path(uri)) if is_local(uri) else objects(uri).head(uri)


def sha256_of(uri: str, read: Callable[[int], None] | None = None) -> str:
    """SHA-256 of a file's bytes, read from front to back, in hexadecimal digits. read: is told how many bytes each block has."""
    with local.naming(local_path(uri) if is_local(uri) else uri), open_input(uri) as f:
        digest = hashlib.sha256()
        while chunk := f.read(1 << 20):
            digest.update(chunk)
            if read is not None:
                read(len(chunk))
    return digest.hexdigest()


def known_sha256(uri: str) -> str | None:
    """The SHA-256 of a file, where a store keeps it; None means that it has to be read."""
    return None if is_local(uri) else objects(uri).sha256(uri)


def list_glob(pattern: str) -> list[Entry]:
    """The files that a name, folder or pattern means, sorted by name; a folder means every file below it. Empty if none."""
    if is_local(pattern):
        return local.list_glob(local_path(pattern))
    store = objects(pattern)
    if not has_magic(pattern):
        with contextlib.suppress(FileNotFoundError):
            return [store.head(pattern)]
        root, regex = pattern.rstrip("/"), re.compile(".*", re.DOTALL)
    else:
        root = glob_root(pattern)
        rest = pattern[len(root) :].strip("/")
        # a pattern that names a folder means all files in it, as a plain folder does
        regex = re.compile(f"(?:{translate(rest).pattern})|(?:{translate(rest + '/**').pattern})", re.DOTALL)
    hidden = re.compile(r"(^|/)\.")
    named = ((e, e.uri[len(root) :].lstrip("/")) for e in store.below(root))
    return sorted(e for e, name in named if regex.match(name) and not hidden.search(name))


def names_in(folder: str) -> list[str]:
    """Names of what lies in a folder, hidden ones too; empty if there is no such folder."""
    return local.names_in(local_path(folder)) if is_local(folder) else objects(folder).names_in(folder)


def below(folder: str) -> Iterator[Entry]:
    """Every file below a folder, hidden ones too."""
    return local.below(local_path(folder)) if is_local(folder) else objects(folder).below(folder)


def makedirs(uri: str) -> None:
    """Make a folder and those above it; nothing where a store has no folders."""
    if is_local(uri):
        os.makedirs(local_path(uri), exist_ok=True)


def sync_folders(uris: Iterable[str]) -> None:
    """Force the names in folders to disk, so that a loss of power takes none back; nothing where a store has no folders."""
    for uri in uris:
        if is_local(uri):
            local.sync_folder(local_path(uri))


def remove(uri: str) -> None:
    """Remove a file; nothing if it is not there."""
    local.remove(local_path(uri)) if is_local(uri) else objects(uri).remove(uri)


def write_atomic(uri: str, data: bytes, fsync: bool = True) -> None:
    """Write a whole file: readers see the old one or the new one. `fsync`: it also survives a loss of power."""
    if is_local(uri):
        local.write_atomic(local_path(uri), data, fsync)
    else:
        objects(uri).put(uri, data)


def create_exclusive(uri: str, data: bytes) -> bool:
    """Create a file that must not exist: True if this call made it, False (and nothing changed) if it was there."""
    if is_local(uri):
        return local.create_exclusive(local_path(uri), data)
    store = objects(uri)
    if store.put(uri, data, absent=True) is not None:
        return True
    # an answer may be lost on its way, and the client's second try then finds its first
    with contextlib.suppress(FileNotFoundError):
        return store.get(uri) == data
    return False


def replace_if(uri: str, data: bytes, version: str) -> str | None:
    """Replace an object that is still of `version`: its new version, or None (and nothing changed) if it is another.

    No other writer may write the same `data`, so that a write whose answer was lost is recognised."""
    store = objects(uri)
    new = store.put(uri, data, version=version)
    if new is None:
        with contextlib.suppress(FileNotFoundError):
            now, newer = store.get_versioned(uri)
            return newer if now == data else None
    return new


def append_line(uri: str, line: bytes, fsync: bool = False) -> None:
    """Append a line to a file that grows by lines; lines of several writers never mix, and none is lost."""
    if is_local(uri):
        local.append_line(local_path(uri), line, fsync)
        return
    store, before = objects(uri), -1
    while True:
        try:
            data, version = store.get_versioned(uri)
        except FileNotFoundError:
            data, version = b"", ""
        lines = data.splitlines()
        before = lines.count(line) if before < 0 else before
        if lines.count(line) > before:  # it was written, and the answer lost
            return
        data = data[: data.rfind(b"\n") + 1]  # without what is left of a torn line
        if store.put(uri, data + line + b"\n", version=version, absent=not version) is not None:
            return


def link_or_copy(source: str, target: str) -> None:
    """Make `target` the same immutable file as `source`: a hard link where the disk can, a copy by the store's own service,
    else an atomic copy."""
    if is_local(source) and is_local(target):
        local.link_or_copy(local_path(source), local_path(target))
    elif not is_local(source) and not is_local(target) and type(objects(source)) is type(objects(target)):
        objects(source).copy(source, target)
    else:
        write_atomic(target, read_bytes(source))


def each(function: Callable[[T], R], items: Iterable[T], near: str) -> list[R]:
    """`function` of each item, in order: one after the other where `near` is local, several at a time where each item costs
    the latency of a store."""
    return [function(item) for item in items] if is_local(near) else at_once(function, items)


class NewFile:
    """A file that is written by its path and appears under its name at `publish`, or never.

    `path` is where to write it: beside the target on a local disk; for a store, a file of this machine that has no name
    where the system allows that, so that a killed process leaves nothing.
    """

    def __init__(self, uri: str, name: str = "") -> None:
        self.uri, self._handle = uri, -1
        if is_local(uri):
            target = local_path(uri)
            os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
            self.path = os.path.join(os.path.dirname(target), name) if name else temporary_name(target)
            return
        self._handle, self.path = tempfile.mkstemp(prefix=TEMPORARY)
        nameless = f"/proc/self/fd/{self._handle}"
        if os.path.exists(nameless):
            os.unlink(self.path)
            self.path = nameless

    def naming(self) -> contextlib.AbstractContextManager[None]:
        """A block in which a system's error that names no file names this one."""
        return local.naming(self.uri)

    def publish(self, uri: str = "", sha256: str = "") -> None:
        """Give the finished file its name. uri: another one than was asked for; sha256: of the bytes, if it is known."""
        uri = uri or self.uri
        if self._handle < 0:
            os.replace(self.path, local_path(uri))
            return
        with open(self.path, "rb") as f:
            objects(uri).put(uri, f, sha256=sha256)
        self.discard()

    def discard(self) -> None:
        """Leave nothing of it; to be called at the end in any case."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        if self.path.startswith("/proc/self/fd/"):
            return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)


def fresh_name() -> str:
    """A temporary name that no other process takes."""
    return f"{TEMPORARY}{uuid.uuid4().hex}"


__all__ = [
    "TEMPORARY",
    "Entry",
    "NewFile",
    "absolute",
    "append_line",
    "arrow_input",
    "below",
    "create_exclusive",
    "each",
    "exists",
    "fresh_name",
    "glob_root",
    "has_file",
    "has_magic",
    "is_dir",
    "is_local",
    "join",
    "known_sha256",
    "link_or_copy",
    "list_glob",
    "local_path",
    "makedirs",
    "names_in",
    "open_input",
    "publish",
    "read_bytes",
    "remove",
    "replace_if",
    "sha256_of",
    "stat",
    "sync_folders",
    "temporary_name",
    "walk",
    "write_atomic",
]
