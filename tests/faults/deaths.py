"""Every death of a command in one life of it: before each file operation it stops, and a copy of it dies in a copy of its folder.

So a command of n operations is run once and not n times, and what a death has left is looked at while the command waits.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.faults.faulty_files import DEAD, FaultyFiles, forked

_open = os.open
"""As it is before it is patched: what the dying do here is no operation."""


def deaths(
    base: Path, act: Callable[[Path], object], power: bool, wanted: Callable[[int], bool]
) -> Iterator[tuple[int, str]]:
    """(number, operation) of each wanted death of `act(base)`, a command that writes base/out, the last one at its end. Until
    the next is asked for, the folder is as the death left it. Needs /proc.

    power: whether what is not forced to disk is lost with it.
    """
    alive, copy = base.with_name(f"{base.name}.alive"), base.with_name(f"{base.name}.copy")
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        os._exit(forked(lambda: _live(base, alive, act, power, wanted, theirs)))
    theirs.close()
    with ours, ours.makefile("rb") as lines:
        while head := lines.readline():
            number, _, where = head.decode().strip().partition(" ")
            copied(base, copy)
            base.rename(alive)
            copy.rename(base)
            ours.sendall(b"1")
            status = lines.read(1)
            assert status == bytes([DEAD]), f"operation {where} did not kill: {status!r}"
            yield int(number), where
            shutil.rmtree(base)
            alive.rename(base)
            ours.sendall(b"1")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, "the command failed before its end"


def _live(
    base: Path,
    alive: Path,
    act: Callable[[Path], object],
    power: bool,
    wanted: Callable[[int], bool],
    channel: socket.socket,
) -> None:
    def stop(number: int, where: str, torn: Callable[[], object] | None) -> None:
        if not wanted(number):
            return
        _say(channel, f"{number} {where}\n".encode())

        def die() -> None:
            _go_over(files, alive, base)
            if torn is not None:
                torn()
            files.die()

        _say(channel, bytes([forked(die)]))

    files = FaultyFiles(str(base / "out"), power=power, before=stop)
    with files():
        act(base)
        stop(files.count, "the end", None)


def _say(channel: socket.socket, said: bytes) -> None:
    """Say it and wait for an answer."""
    try:
        channel.sendall(said)
        answered = channel.recv(1)
    except OSError:
        answered = b""
    if not answered:
        os._exit(1)  # nobody looks any more


def copied(source: Path, target: Path) -> None:
    """Copy a folder; names of one file stay names of one file."""
    known: dict[tuple[int, int], str] = {}
    for inside, _, names in os.walk(source):
        folder = os.path.join(target, os.path.relpath(inside, source))
        os.makedirs(folder, exist_ok=True)
        for name in names:
            path, new = os.path.join(inside, name), os.path.join(folder, name)
            first = known.setdefault(_inode(path), new)
            os.link(first, new) if first != new else shutil.copy2(path, new)


def _go_over(files: FaultyFiles, old: Path, new: Path) -> None:
    """Let this process, which has files of the folder `old` open, have the same ones of its copy `new` instead."""
    twins = {}
    for inside, _, names in os.walk(old):
        for name in names:
            path = os.path.join(inside, name)
            twins[_inode(path)] = _inode(os.path.join(new, os.path.relpath(path, old)))
    files.moved(twins)
    for number in map(int, os.listdir("/proc/self/fd")):
        try:
            path = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:  # that of the listing itself
            continue
        if not path.startswith(f"{old}/"):
            continue
        there = os.path.join(new, os.path.relpath(path, old))
        gone = not os.path.lexists(there)  # a file without a name, which nobody will see
        flags = fcntl.fcntl(number, fcntl.F_GETFL) & (os.O_ACCMODE | os.O_APPEND)
        fresh = _open(os.devnull if gone else there, flags)
        if not gone and not os.path.isdir(there):
            os.lseek(fresh, os.lseek(number, 0, os.SEEK_CUR), os.SEEK_SET)
        os.dup2(fresh, number)


def _inode(path: str) -> tuple[int, int]:
    s = os.stat(path)
    return s.st_dev, s.st_ino
