"""Files, local and remote, behind a dozen functions: what corpusmill needs of a store, and nothing else.

A path without a scheme (and `file://`) is local and goes through `os`; everything else (`gs://`, `s3://`, `memory://`)
goes through fsspec, whose client for the scheme must be installed. Two kinds of write matter:

    write_atomic       the file is there whole or not at all; an older one is replaced
    create_exclusive   compare-and-set: exactly one of many writers of a name succeeds (numbered manifests, locks)

Locally both write a temporary file beside the target, whose name begins with `.tmp-` (so that what a killed process left is
recognised), and `os.replace` or `os.link` it: link fails where the name exists, and can never leave a torn file.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat as stat_module
import uuid
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from transforms.errors import MissingDependencyError

TEMPORARY = ".tmp-"
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+)://")
_MAGIC = re.compile(r"[*?\[{]")


class Entry(NamedTuple):
    """A file of a listing: where, its bytes, and a stamp that changes when the content may have."""

    uri: str
    size: int
    stamp: str


def is_local(uri: str) -> bool:
    """Whether `uri` is a path of this machine."""
    m = _SCHEME.match(uri)
    return m is None or m[1] == "file"


def local_path(uri: str) -> str:
    """The path behind a local uri."""
    return uri[7:] if uri.startswith("file://") else uri


def has_magic(uri: str) -> bool:
    """Whether `uri` is a pattern rather than a name."""
    return _MAGIC.search(uri) is not None


def join(uri: str, *parts: str) -> str:
    """`uri` with `parts` below it; a part that is absolute or has a scheme of its own replaces what is before it."""
    for part in parts:
        if _SCHEME.match(part) or (is_local(uri) and os.path.isabs(part)):
            uri = part
        elif is_local(uri):
            uri = os.path.normpath(os.path.join(local_path(uri), part))
        else:
            uri = uri.rstrip("/") + "/" + part.strip("/")
    return uri


def filesystem(uri: str) -> tuple[Any, str]:
    """(fsspec filesystem, path in it) of a remote uri."""
    import fsspec

    try:
        return fsspec.url_to_fs(uri)
    except (ImportError, ValueError) as error:
        scheme = uri.split("://")[0]
        extra = {"gs": "gcp", "gcs": "gcp", "s3": "s3"}.get(scheme)
        todo = f"pip install 'corpusmill[{extra}]'" if extra else f"install the fsspec client of '{scheme}'"
        raise MissingDependencyError(f"{uri}: no client for '{scheme}://': {error}. To go on: {todo}.") from error


def exists(uri: str) -> bool:
    """Whether a file or folder of this name exists."""
    if is_local(uri):
        return os.path.exists(local_path(uri))
    fs, path = filesystem(uri)
    return bool(fs.exists(path))


def is_dir(uri: str) -> bool:
    """Whether `uri` is a folder (or, remotely, a prefix that has files)."""
    if is_local(uri):
        return os.path.isdir(local_path(uri))
    fs, path = filesystem(uri)
    return bool(fs.isdir(path))


def open_input(uri: str) -> BinaryIO:
    """A seekable binary file for reading."""
    if is_local(uri):
        return open(local_path(uri), "rb")
    fs, path = filesystem(uri)
    return fs.open(path, "rb")


def read_bytes(uri: str) -> bytes:
    """The whole content."""
    if is_local(uri):
        with open(local_path(uri), "rb") as f:
            return f.read()
    fs, path = filesystem(uri)
    return bytes(fs.cat_file(path))


def stat(uri: str) -> Entry:
    """Size and stamp of one file; raises FileNotFoundError."""
    if is_local(uri):
        s = os.stat(local_path(uri))
        return Entry(uri, s.st_size, str(s.st_mtime_ns))
    fs, path = filesystem(uri)
    return _remote_entry(uri, fs.info(path))


def _remote_entry(uri: str, info: dict[str, Any]) -> Entry:
    # an etag names the content; where a store has none, the time of the last change has to do
    for key in ("ETag", "etag", "md5Hash", "crc32c", "generation", "LastModified", "mtime", "updated", "created"):
        if info.get(key):
            return Entry(uri, int(info.get("size") or 0), f"{key}:{info[key]}".replace('"', ""))
    return Entry(uri, int(info.get("size") or 0), "")


def _translate(pattern: str) -> re.Pattern[str]:
    """A regular expression for a pattern relative to its root: `*`, `?`, `[ab]`, `{a,b}`, and `**` for any depth."""
    out, i, braces = "", 0, 0
    while i < len(pattern):
        c = pattern[i]
        if pattern.startswith("**/", i):
            out, i = out + "(?:[^/]+/)*", i + 3
            continue
        if pattern.startswith("**", i):
            out, i = out + ".*", i + 2
            continue
        close = pattern.find("]", i + 2) if c == "[" else -1
        if c == "*":
            out += "[^/]*"
        elif c == "?":
            out += "[^/]"
        elif close > 0:
            inner = pattern[i + 1 : close].replace("\\", "\\\\")
            out += "[" + ("^" + inner[1:] if inner[0] in "!^" else inner) + "]"
            i = close
        elif c == "{":
            out, braces = out + "(?:", braces + 1
        elif c == "}" and braces:
            out, braces = out + ")", braces - 1
        elif c == "," and braces:
            out += "|"
        else:
            out += re.escape(c)
        i += 1
    return re.compile(out + r"\Z", re.DOTALL)


def glob_root(pattern: str) -> str:
    """The longest folder of `pattern` without wildcards (for a plain name: the folder it is in)."""
    parts = pattern.split("/")
    for i, part in enumerate(parts):
        if has_magic(part):
            return "/".join(parts[:i]) or ("/" if pattern.startswith("/") else ".")
    return "/".join(parts[:-1]) or ("/" if pattern.startswith("/") else ".")


def walk(folder: str) -> Iterator[Entry]:
    """Every regular file below a local folder, in sorted order. Hidden names are left out; links to folders are followed,
    each folder once, so that a loop of links ends."""
    seen: set[tuple[int, int]] = set()

    def visit(path: str) -> Iterator[Entry]:
        s = os.stat(path)
        if (s.st_dev, s.st_ino) in seen:
            return
        seen.add((s.st_dev, s.st_ino))
        with os.scandir(path) as it:
            entries = sorted((e for e in it if not e.name.startswith(".")), key=lambda e: e.name)
        for entry in entries:
            try:
                s = entry.stat()
            except OSError:  # a link that leads nowhere, or to itself
                continue
            if stat_module.S_ISDIR(s.st_mode):
                yield from visit(entry.path)
            elif stat_module.S_ISREG(s.st_mode):  # sockets, pipes and devices are no documents
                yield Entry(entry.path, s.st_size, str(s.st_mtime_ns))

    yield from visit(folder)


def list_glob(pattern: str) -> list[Entry]:
    """The files that a name, folder or pattern means, sorted by name; a folder means every file below it. Empty if none."""
    if not is_local(pattern):
        fs, path = filesystem(pattern)
        if has_magic(path):
            found = fs.glob(path, detail=True)
        elif fs.isfile(path):
            found = {path: fs.info(path)}
        else:
            found = fs.find(path, detail=True)
        root = glob_root(path) if has_magic(path) else path
        return sorted(
            _remote_entry(fs.unstrip_protocol(name), info)
            for name, info in found.items()
            if info["type"] == "file" and not re.search(r"(^|/)\.", name.removeprefix(root))
        )
    path = local_path(pattern)
    if os.path.isdir(path):
        return sorted(walk(path))
    if os.path.isfile(path) or not has_magic(path):
        return [stat(path)] if os.path.exists(path) else []
    root = glob_root(path)
    rest = path[len(root) :].lstrip("/") if root != "." or path.startswith("./") else path
    if not os.path.isdir(root):
        return []
    # a pattern that names a folder means all files in it, as a plain folder does
    regex, below = _translate(rest), _translate(rest.rstrip("/") + "/**")
    prefix = len(root.rstrip("/")) + 1
    deep = "/" in rest or "**" in rest or any(e.is_dir() for e in os.scandir(root) if regex.match(e.name))
    entries = walk(root) if deep else _files_in(root)
    return sorted(e for e in entries if regex.match(e.uri[prefix:]) or below.match(e.uri[prefix:]))


def _files_in(folder: str) -> Iterator[Entry]:
    with os.scandir(folder) as it:
        for entry in it:
            if not entry.name.startswith(".") and entry.is_file():
                s = entry.stat()
                yield Entry(os.path.join(folder, entry.name), s.st_size, str(s.st_mtime_ns))


def makedirs(uri: str) -> None:
    """Make a folder and those above it; nothing where a store has no folders."""
    if is_local(uri):
        os.makedirs(local_path(uri), exist_ok=True)


def remove(uri: str) -> None:
    """Remove a file; nothing if it is not there."""
    if is_local(uri):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(local_path(uri))
        return
    fs, path = filesystem(uri)
    with contextlib.suppress(FileNotFoundError):
        fs.rm_file(path)


def temporary_name(path: str) -> str:
    """A fresh temporary name in the folder of `path`."""
    return os.path.join(os.path.dirname(path), f"{TEMPORARY}{os.path.basename(path)[:100]}-{uuid.uuid4().hex[:12]}")


def _fsync_dir(path: str) -> None:
    fd = os.open(path or ".", os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write_temporary(path: str, data: bytes, fsync: bool) -> str:
    temporary = temporary_name(path)
    try:
        with open(temporary, "xb") as f:
            f.write(data)
            f.flush()
            if fsync:
                os.fsync(f.fileno())
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    return temporary


def publish(temporary: str, path: str, fsync: bool = True) -> None:
    """Move a finished local file to its name in the same folder, replacing what is there, durably if `fsync`."""
    if fsync:
        fd = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    os.replace(temporary, path)
    if fsync:
        _fsync_dir(os.path.dirname(path))


def write_atomic(uri: str, data: bytes, fsync: bool = True) -> None:
    """Write a whole file: readers see the old one or the new one. `fsync`: it also survives a loss of power."""
    if is_local(uri):
        path = local_path(uri)
        temporary = _write_temporary(path, data, fsync)
        os.replace(temporary, path)
        if fsync:
            _fsync_dir(os.path.dirname(path))
        return
    fs, path = filesystem(uri)
    fs.pipe_file(path, data)  # object stores show an object only when it is whole


def create_exclusive(uri: str, data: bytes) -> bool:
    """Create a file that must not exist: True if this call made it, False (and nothing changed) if it was there."""
    if not is_local(uri):
        fs, path = filesystem(uri)
        try:
            fs.pipe_file(path, data, mode="create")
        except FileExistsError:
            return False
        return True
    path = local_path(uri)
    temporary = _write_temporary(path, data, fsync=True)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        os.unlink(temporary)
    _fsync_dir(os.path.dirname(path))
    return True


def link_or_copy(src: str, dst: str) -> None:
    """Make `dst` the same immutable file as `src`: a hard link where the disk can, else an atomic copy."""
    if is_local(src) and is_local(dst):
        source, target = local_path(src), local_path(dst)
        temporary = temporary_name(target)
        try:
            os.link(source, temporary)
        except OSError:  # another disk, or one without links
            shutil.copyfile(source, temporary)
        os.replace(temporary, target)
        # replacing a link by another link to the same file is a no-op that leaves both names
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        return
    if not is_local(src) and not is_local(dst):
        (fs, a), (other, b) = filesystem(src), filesystem(dst)
        if type(fs) is type(other):
            fs.copy(a, b)
            return
    write_atomic(dst, read_bytes(src))
