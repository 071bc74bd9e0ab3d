"""Files of this machine, by `os` alone.

A file is written beside its target under a name that begins with `.tmp-` (so that what a killed process left is
recognised), and takes its name by `os.replace`, or by `os.link` where it must not exist yet: link fails where the name is
taken, and can never leave a torn file.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat as stat_module
import uuid
from collections.abc import Iterator

from corpusmill.transforms.storage.paths import Entry, glob_root, has_magic, translate

TEMPORARY = ".tmp-"


def stat(path: str) -> Entry:
    """Size and stamp of one file; raises FileNotFoundError."""
    return _entry(path, os.stat(path))


def _entry(path: str, s: os.stat_result) -> Entry:
    """The stamp holds what tools that copy sizes and times (`cp -p`, `rsync -t`, `tar`) cannot set: ctime and inode."""
    return Entry(path, s.st_size, f"{s.st_mtime_ns}.{s.st_ctime_ns}.{s.st_ino}", s.st_mtime)


def last_change(entry: Entry) -> float:
    """When a file or its times were last changed, in seconds by the disk's clock."""
    return max(int(ns) for ns in entry.stamp.split(".")[:2]) / 1e9


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
                yield _entry(entry.path, s)

    yield from visit(folder)


def list_glob(path: str) -> list[Entry]:
    """The files that a name, folder or pattern means, sorted by name; a folder means every file below it. Empty if none."""
    return sorted(matching(path))


def matching(path: str) -> Iterator[Entry]:
    """The files of `list_glob`, as they are found."""
    if os.path.isdir(path):
        yield from walk(path)
        return
    if os.path.isfile(path) or not has_magic(path):
        if os.path.exists(path):
            yield stat(path)
        return
    root = glob_root(path)
    rest = path[len(root) :].lstrip("/") if root != "." or path.startswith("./") else path
    if not os.path.isdir(root):
        return
    # a pattern that names a folder means all files in it, as a plain folder does
    regex, below = translate(rest), translate(rest.rstrip("/") + "/**")
    prefix = len(root.rstrip("/")) + 1
    deep = "/" in rest or "**" in rest or any(e.is_dir() for e in os.scandir(root) if regex.match(e.name))
    entries = walk(root) if deep else _files_in(root)
    yield from (e for e in entries if regex.match(e.uri[prefix:]) or below.match(e.uri[prefix:]))


def _files_in(folder: str) -> Iterator[Entry]:
    with os.scandir(folder) as it:
        for entry in it:
            if not entry.name.startswith(".") and entry.is_file():
                yield _entry(os.path.join(folder, entry.name), entry.stat())


def names_in(folder: str) -> list[str]:
    """Names of what lies in a folder, hidden ones too; empty if there is no such folder."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def below(folder: str) -> Iterator[Entry]:
    """Every file below a folder, hidden ones too. Links are not followed; what vanishes meanwhile is left out."""
    for inside, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(inside, name)
            with contextlib.suppress(FileNotFoundError):
                yield _entry(path, os.lstat(path))


def freed(paths: list[str]) -> int:
    """Bytes on disk that go with these names: a file with several names counts once, and not at all if one of them stays."""
    links: dict[tuple[int, int], int] = {}
    total = 0
    for path in paths:
        try:
            s = os.lstat(path)
        except FileNotFoundError:
            continue
        key = (s.st_dev, s.st_ino)
        links[key] = links.get(key, 0) + 1
        total += s.st_size if links[key] == s.st_nlink else 0
    return total


def remove(path: str) -> None:
    """Remove a file; nothing if it is not there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def temporary_name(path: str) -> str:
    """A fresh temporary name in the folder of `path`."""
    return os.path.join(os.path.dirname(path), f"{TEMPORARY}{os.path.basename(path)[:100]}-{uuid.uuid4().hex[:12]}")


def sync_folder(path: str) -> None:
    """Force the names in a folder to disk."""
    _sync(path or ".")


def _sync(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        with naming(path):
            os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def naming(path: str) -> Iterator[None]:
    """In this block, a system's error that names no file names this one: those of a write name none, nor do Arrow's."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise type(error)(error.errno, os.strerror(error.errno), path) from error


def _write_temporary(path: str, data: bytes, fsync: bool) -> str:
    temporary = temporary_name(path)
    try:
        with naming(path), open(temporary, "xb") as f:
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
        _sync(temporary)
    _rename(temporary, path)
    if fsync:
        sync_folder(os.path.dirname(path))


def _rename(temporary: str, path: str) -> None:
    """Give a file its name, or remove it."""
    try:
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def write_atomic(path: str, data: bytes, fsync: bool) -> None:
    """Write a whole file: readers see the old one or the new one."""
    temporary = _write_temporary(path, data, fsync)
    _rename(temporary, path)
    if fsync:
        sync_folder(os.path.dirname(path))


def create_exclusive(path: str, data: bytes) -> bool:
    """Create a file that must not exist: True if this call made it."""
    temporary = _write_temporary(path, data, fsync=True)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        os.unlink(temporary)
    sync_folder(os.path.dirname(path))
    return True


def append_line(path: str, line: bytes, fsync: bool) -> None:
    """Append a line. What a dying process left of one is removed first; a line that cannot be written leaves nothing."""
    with naming(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            size = os.fstat(handle).st_size
            end = _end_of_lines(handle, size)
            if end < size:
                os.ftruncate(handle, end)
            rest = memoryview(line + b"\n")
            try:
                while rest:  # a write may take in a part, as on a disk that is nearly full
                    rest = rest[os.write(handle, rest) :]
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(handle, end)
                raise
            if fsync:
                os.fsync(handle)
        finally:
            os.close(handle)


def _end_of_lines(handle: int, size: int) -> int:
    """Where the last whole line of an open file ends."""
    while size > 0:
        begin = max(0, size - 4096)
        at = os.pread(handle, size - begin, begin).rfind(b"\n")
        if at >= 0:
            return begin + at + 1
        size = begin
    return 0


def link_or_copy(source: str, target: str) -> None:
    """Make `target` the same immutable file as `source`: a hard link where the disk can, else an atomic copy."""
    temporary = temporary_name(target)
    try:
        try:
            os.link(source, temporary)
        except OSError:  # another disk, or one without links
            shutil.copyfile(source, temporary)
            _sync(temporary)
        os.replace(temporary, target)
    finally:
        # replacing a link by another link to the same file is a no-op that leaves both names
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
