"""Files that fail: every operation on a folder is counted, and at any of them the process dies, or the disk says no.

Operations: open for writing, write, truncate, fsync, rename, link, unlink, mkdir, rmdir; those of Arrow's own writers, too,
which are given a file of Python instead of a name. Death is `os._exit`, so that nothing cleans up: to be used in a forked
child. A write that the process dies in is torn: half of its bytes are there.

After a loss of power, what was not forced to disk is lost as POSIX allows it: the data of a file since its last fsync, and
the names that a folder got, gave up or changed since its own. Which of them are lost is drawn from a seed: a disk may have
written some.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import os
import random
import shutil
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq

DEAD = 77
"""Exit status of a process that died as planned."""
_open, _os = (
    builtins.open,
    {n: getattr(os, n) for n in "open write pwrite ftruncate fsync link unlink mkdir rmdir".split()},
)
_replace, _stat, _close = os.replace, os.stat, os.close


class FaultyFiles:
    """Patches what writes files, for paths below `root`.

    before: is told of each operation, its number, from 0, and what it would leave behind if the process died in it.
    power: whether what is not synced is lost when the process dies.
    fail: gets (number, operation, path) and may return an OSError to be raised instead of the operation.
    """

    def __init__(
        self,
        root: str,
        before: Callable[[int, str, Callable[[], object] | None], None] | None = None,
        power: bool = False,
        fail: Callable[[int, str, str], OSError | None] | None = None,
    ) -> None:
        self.root = os.path.realpath(root)
        self.count = 0
        self.said: list[str] = []
        self._before, self._power, self._fail = before, power, fail
        self._files: dict[int, str] = {}
        """Paths of descriptors that were opened for writing by number."""
        self._unsynced: dict[tuple[int, int], int] = {}
        """Inodes with data that is not forced to disk, and the bytes that are."""
        self._names: list[tuple[str, Callable[[], object]]] = []
        """(folder that is not forced to disk, how its change is undone), in order."""
        self._shadow = f"{self.root}.shadow"
        self._shadows = 0

    # ---- operations

    def mine(self, path: Any) -> str | None:
        """The full path, if it lies below the root."""
        if not isinstance(path, str | os.PathLike):
            return None
        full = os.path.abspath(os.fspath(path))
        return full if isinstance(full, str) and full.startswith(self.root + "/") else None

    def operation(self, what: str, path: str, torn: Callable[[], object] | None = None) -> None:
        """Count one; fail in it, if it is the one."""
        number, self.count = self.count, self.count + 1
        self.said.append(f"{what} {path[len(self.root) + 1 :]}")
        if self._fail is not None:
            error = self._fail(number, what, path)
            if error is not None:
                raise error
        if self._before is not None:
            self._before(number, self.said[-1], torn)

    def die(self) -> None:
        """End the process here and now."""
        self._before = self._fail = None  # what is lost with it is lost by no operation
        if self._power:
            self.lose()
        os._exit(DEAD)

    # ---- what is forced to disk

    def wrote(self, fd: int) -> None:
        """Data of a descriptor is about to change."""
        s = os.fstat(fd)
        self._unsynced.setdefault((s.st_dev, s.st_ino), s.st_size)

    def synced(self, fd: int) -> None:
        """A file or folder is forced to disk."""
        s = os.fstat(fd)
        self._unsynced.pop((s.st_dev, s.st_ino), None)
        self._names = [(folder, undo) for folder, undo in self._names if not _same(folder, s)]

    def moved(self, twins: dict[tuple[int, int], tuple[int, int]]) -> None:
        """The files are others now, of the same names and bytes: {inode: inode of its twin}."""
        self._unsynced = {twins[i]: size for i, size in self._unsynced.items() if i in twins}

    def renamed(self, folder: str, undo: Callable[[], object]) -> None:
        """A name in a folder has changed."""
        if self._power:
            self._names.append((folder, undo))

    def keep(self, path: str) -> str | None:
        """Another name for a file, under which it outlives its removal."""
        if not self._power or not os.path.lexists(path):
            return None
        os.makedirs(self._shadow, exist_ok=True)
        self._shadows += 1
        name = os.path.join(self._shadow, str(self._shadows))
        _os["link"](path, name)
        return name

    def lose(self) -> None:
        """What a loss of power leaves."""
        rng = random.Random(self.count)
        for top in (self.root, self._shadow):
            for inside, _, names in os.walk(top):
                for name in sorted(names):
                    path = os.path.join(inside, name)
                    s = _stat(path)
                    whole = self._unsynced.pop((s.st_dev, s.st_ino), None)
                    if whole is not None and s.st_size > whole:
                        os.truncate(path, whole + int((s.st_size - whole) * rng.choice([0, 0, 0.5, 1])))
        folders = sorted({folder for folder, _ in self._names})
        lost = {folder for folder in folders if rng.random() < 0.5}
        for folder, undo in reversed(self._names):
            if folder in lost:
                with contextlib.suppress(OSError):
                    undo()
        shutil.rmtree(self._shadow, ignore_errors=True)

    # ---- patches

    @contextlib.contextmanager
    def __call__(self) -> Iterator[FaultyFiles]:
        """Everything in this block goes through here."""
        with contextlib.ExitStack() as stack:
            changes = [(builtins, "open", self.open), (io, "open", self.open), (os, "replace", self.replace)]
            changes += [(os, "rename", self.replace), (os, "remove", self.unlink), (os, "close", self.close)]
            changes += [(os, n, getattr(self, n)) for n in ("link", "unlink", "mkdir", "rmdir", "write", "pwrite")]
            changes += [(os, "open", self.os_open), (os, "ftruncate", self.ftruncate), (os, "fsync", self.fsync)]
            changes += [(pa, "OSFile", self.os_file), (pa.ipc, "new_file", self.new_file)]
            changes += [(pq, "ParquetWriter", self.parquet_writer)]
            for owner, name, new in changes:
                stack.enter_context(mock.patch.object(owner, name, new))
            yield self

    def _opening(self, full: str, make: Callable[[], Any]) -> Any:
        new = not os.path.lexists(full)
        self.operation("open", full)
        made = make()
        fd = made if isinstance(made, int) else made.fileno()
        if new:
            self._unsynced.setdefault(_inode(fd), 0)
            self.renamed(os.path.dirname(full), lambda: _os["unlink"](full))
        return made

    def open(self, file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        """`open`: a file for writing is one whose writes are counted."""
        full = self.mine(file)
        if full is None or not set(mode) & set("wxa+"):
            return _open(file, mode, *args, **kwargs)
        raw = self._opening(full, lambda: _File(self, full, mode))
        if "b" not in mode:
            return io.TextIOWrapper(io.BufferedWriter(raw), encoding=kwargs.get("encoding") or "utf-8")
        return raw if kwargs.get("buffering") == 0 else io.BufferedWriter(raw, 1 << 20)

    def os_open(self, path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        """`os.open`"""
        full = self.mine(path)
        if full is None or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return _os["open"](path, flags, *args, **kwargs)
        fd: int = self._opening(full, lambda: _os["open"](path, flags, *args, **kwargs))
        self._files[fd] = full
        return fd

    def close(self, fd: int) -> None:
        """`os.close`"""
        self._files.pop(fd, None)
        _close(fd)

    def _writing(self, fd: int, what: str, torn: Callable[[], object] | None = None) -> None:
        if fd in self._files:
            self.wrote(fd)
            self.operation(what, self._files[fd], torn)

    def write(self, fd: int, data: Any) -> int:
        """`os.write`"""
        self._writing(fd, "write", lambda: _os["write"](fd, bytes(data)[: len(data) // 2]))
        return _os["write"](fd, data)

    def pwrite(self, fd: int, data: Any, offset: int) -> int:
        """`os.pwrite`"""
        self._writing(fd, "write", lambda: _os["pwrite"](fd, bytes(data)[: len(data) // 2], offset))
        return _os["pwrite"](fd, data, offset)

    def ftruncate(self, fd: int, length: int) -> None:
        """`os.ftruncate`"""
        self._writing(fd, "truncate")
        _os["ftruncate"](fd, length)

    def fsync(self, fd: Any) -> None:
        """`os.fsync`"""
        number = fd if isinstance(fd, int) else fd.fileno()
        full = self.mine(os.readlink(f"/proc/self/fd/{number}")) if os.path.isdir("/proc/self/fd") else None
        if full is not None:
            self.operation("fsync", full)
        _os["fsync"](number)
        self.synced(number)

    def replace(self, source: Any, target: Any) -> None:
        """`os.replace` and `os.rename`"""
        full = self.mine(target)
        if full is None:
            _replace(source, target)
            return
        self.operation("rename", full)
        a, b = self.keep(os.path.abspath(source)), self.keep(full)
        same = os.path.lexists(full) and os.path.samefile(source, full)
        _replace(source, target)

        def undo() -> None:
            _os["unlink"](full)
            for name, kept in ((full, b), (os.path.abspath(source), a)):
                if kept:
                    _os["link"](kept, name)

        if not same:
            self.renamed(os.path.dirname(full), undo)

    def link(self, source: Any, target: Any, **kwargs: Any) -> None:
        """`os.link`"""
        full = self.mine(target)
        if full is not None:
            self.operation("link", full)
        _os["link"](source, target, **kwargs)
        if full is not None:
            self.renamed(os.path.dirname(full), lambda: _os["unlink"](full))

    def unlink(self, path: Any, **kwargs: Any) -> None:
        """`os.unlink` and `os.remove`"""
        full = self.mine(path)
        if full is None or not os.path.lexists(full):
            _os["unlink"](path, **kwargs)
            return
        self.operation("unlink", full)
        kept = self.keep(full)
        _os["unlink"](path, **kwargs)
        if kept:
            self.renamed(os.path.dirname(full), lambda: _os["link"](kept, full))

    def mkdir(self, path: Any, *args: Any, **kwargs: Any) -> None:
        """`os.mkdir`"""
        full = self.mine(path)
        if full is not None and not os.path.isdir(full):
            self.operation("mkdir", full)
        _os["mkdir"](path, *args, **kwargs)
        if full is not None:
            self.renamed(os.path.dirname(full), lambda: shutil.rmtree(full, ignore_errors=True))

    def rmdir(self, path: Any, **kwargs: Any) -> None:
        """`os.rmdir`"""
        full = self.mine(path)
        if full is not None:
            self.operation("rmdir", full)
        _os["rmdir"](path, **kwargs)
        if full is not None:
            self.renamed(os.path.dirname(full), lambda: _os["mkdir"](full))

    # ---- Arrow's own files

    def os_file(self, path: Any, mode: str = "r", *args: Any) -> Any:
        """`pyarrow.OSFile`"""
        writing = self.mine(path) is not None and "w" in mode
        return self.open(path, "wb") if writing else _os_file(path, mode, *args)

    def new_file(self, sink: Any, *args: Any, **kwargs: Any) -> Any:
        """`pyarrow.ipc.new_file`"""
        if self.mine(sink) is None:
            return _new_file(sink, *args, **kwargs)
        file = self.open(sink, "wb")
        return _Writer(_new_file(file, *args, **kwargs), file)

    def parquet_writer(self, where: Any, *args: Any, **kwargs: Any) -> Any:
        """`pyarrow.parquet.ParquetWriter`"""
        if self.mine(where) is None:
            return _parquet_writer(where, *args, **kwargs)
        file = self.open(where, "wb")
        return _Writer(_parquet_writer(file, *args, **kwargs), file)


_os_file, _new_file, _parquet_writer = pa.OSFile, pa.ipc.new_file, pq.ParquetWriter


class _File(io.FileIO):
    """A file whose writes are counted."""

    def __init__(self, faults: FaultyFiles, path: str, mode: str) -> None:
        super().__init__(path, mode.replace("b", "").replace("t", ""))
        self._faults, self._path = faults, path
        if "w" in mode:
            faults._unsynced[_inode(self.fileno())] = 0

    def write(self, data: Any) -> int:
        """Write, unless the process dies in it."""
        whole = bytes(data)
        self._faults.wrote(self.fileno())
        self._faults.operation("write", self._path, lambda: io.FileIO.write(self, whole[: len(whole) // 2]))
        return super().write(whole) or 0


class _Writer:
    """A writer of Arrow's with the file that it writes to, which ends with it."""

    def __init__(self, writer: Any, file: Any) -> None:
        self._writer, self._file = writer, file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def close(self) -> None:
        """Close both."""
        try:
            self._writer.close()
        finally:
            self._file.close()


def _inode(fd: int) -> tuple[int, int]:
    s = os.fstat(fd)
    return s.st_dev, s.st_ino


def _same(folder: str, s: os.stat_result) -> bool:
    try:
        f = _stat(folder)
    except OSError:
        return False
    return (f.st_dev, f.st_ino) == (s.st_dev, s.st_ino)


def forked(work: Callable[[], object]) -> int:
    """Exit status of a child that does `work`: 0 if it did, `DEAD` if it died as planned, 1 with a trace otherwise."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
