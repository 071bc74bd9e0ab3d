"""The write lock of a dataset. It names its holder, and is released when the holder dies.

On a disk, it is the operating system's lock on an open file. In an object store, it is an object that is written
conditionally and that its holder renews every `BEAT` seconds. Another process takes it over if it was not renewed for
`LEASE` seconds by the store's clock, or at once if the holder died on this machine. A holder checks that it still has
the lock before it commits or removes anything. The lock saves work; compare-and-set on the manifests makes sure that no
commit is lost.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from corpusmill.transforms import storage
from corpusmill.transforms.errors import LockedError, StoreError
from corpusmill.transforms.storage.objects import objects
from corpusmill.transforms.storage.probe import probe

BEAT, LEASE = 15.0, 90.0
"""Seconds between two renewals, and seconds after the last renewal until others may take the lock."""


@contextlib.contextmanager
def held(dataset: str, root: str) -> Iterator[None]:
    """Hold the lock of a dataset whose work folder is `root`, after a check that the place supports locks.

    Raises:
        LockedError: another process holds it; the message names that process.
        UnfitStoreError: the store lacks an operation that the lock needs.
    """
    storage.makedirs(root)
    probe(root)
    path = storage.join(root, "lock")
    with _on_disk(dataset, path) if storage.is_local(dataset) else _Lease(dataset, path):
        yield


def is_held(dataset: str, root: str) -> bool:
    """Whether a process writes the dataset now. True where the system does not tell. Nothing is locked by asking."""
    path = storage.join(root, "lock")
    if not storage.is_local(dataset):
        store = objects(path)
        try:
            record = _parsed(store.get_versioned(path)[0])
            return bool(record.get("holder")) and store.age(path) <= LEASE and not _dead(record)
        except FileNotFoundError:
            return False
    try:
        inode = os.stat(path).st_ino
    except FileNotFoundError:
        return False
    try:
        locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    except OSError:
        return True
    return any("FLOCK" in words and f":{inode} " in f"{' '.join(words)} " for words in locks)


def confirm(dataset: str) -> None:
    """Check that this process still holds its lock. Call this before anything that cannot be undone.

    Raises:
        LockedError: another process took the lock, because this one was cut off for too long.
    """
    lease = _leases.get(dataset)
    if lease is not None:
        lease.confirm()


def _us() -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"process {os.getpid()} on {socket.gethostname()} since {since}"


@contextlib.contextmanager
def _on_disk(dataset: str, path: str) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 4096).decode(errors="replace").strip() or "an unnamed process"
            raise LockedError(
                f"{dataset} is being written by {holder}. Wait for it to end, or stop it; the lock frees itself."
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, _us().encode(), 0)
        try:
            yield
        finally:  # closing the file would leave the lock with a child process that another thread is starting right now
            fcntl.flock(handle, fcntl.LOCK_UN)
    finally:
        os.close(handle)


_leases: dict[str, _Lease] = {}


class _Lease:
    """The lock as an object, which a thread renews while the block runs."""

    def __init__(self, dataset: str, uri: str) -> None:
        self._dataset, self._uri, self._store = dataset, uri, objects(uri)
        self._record: dict[str, Any] = {"holder": _us(), "token": uuid.uuid4().hex, "beat": 0, **_here(os.getpid())}
        self._version, self._good = "", 0.0
        self._mutex, self._stop = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lock", daemon=True)

    def __enter__(self) -> None:
        for _ in range(8):
            if self._take():
                _leases[self._dataset] = self
                self._thread.start()
                return
        raise LockedError(f"{self._dataset}: several processes want to write it. Run the same command again.")

    def _take(self) -> bool:
        """Try to take the lock. False: it changed meanwhile, try again."""
        mine = self._bytes()
        version = self._store.put(self._uri, mine, absent=True)
        if version is None:
            try:
                data, seen = self._store.get_versioned(self._uri)
                age = self._store.age(self._uri)
            except FileNotFoundError:
                return False
            theirs = _parsed(data)
            if theirs.get("token") == self._record["token"]:  # our first try succeeded, and its answer was lost
                version = seen
            elif theirs.get("holder") and age <= LEASE and not _dead(theirs):
                raise LockedError(
                    f"{self._dataset} is being written by {theirs['holder']}, which gave a sign of life {max(0, age):.0f} "
                    f"seconds ago. Wait for it to end, or stop it; the lock frees itself {LEASE:.0f} seconds after the last one."
                )
            else:
                version = storage.replace_if(self._uri, mine, seen)
        if version is None:
            return False
        self._version, self._good = version, time.monotonic()
        return True

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        _leases.pop(self._dataset, None)
        with contextlib.suppress(StoreError, FileNotFoundError):  # the lease ends if the store cannot be reached
            if self._version:
                self._store.put(self._uri, json.dumps({"holder": ""}).encode(), version=self._version)

    def _renew(self) -> None:
        while not self._stop.wait(BEAT):
            with contextlib.suppress(StoreError):  # the next beat tries again
                self._beat()

    def _beat(self) -> None:
        with self._mutex:
            if self._version:
                self._record["beat"] += 1
                self._version = storage.replace_if(self._uri, self._bytes(), self._version) or ""
                self._good = time.monotonic()

    def confirm(self) -> None:
        """Renew now, unless the last renewal is recent."""
        if time.monotonic() - self._good > BEAT / 3:
            self._beat()
        if not self._version:
            raise LockedError(
                f"{self._dataset}: another process took the lock while this one was cut off from the store for more than "
                f"{LEASE:.0f} seconds. Nothing was committed. Run the same command again."
            )

    def _bytes(self) -> bytes:
        return json.dumps(self._record, sort_keys=True).encode()


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _here(pid: int) -> dict[str, Any]:
    """Identifies a process of this machine uniquely: the boot, the process namespace, its id and start time."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        start = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        return {"boot": boot, "namespace": os.readlink("/proc/self/ns/pid"), "pid": pid, "start": start}
    except (OSError, IndexError):
        return {}


def _dead(record: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that has ended."""
    here = _here(os.getpid())
    if not here or any(record.get(k) != here[k] for k in ("boot", "namespace")):
        return False
    state = Path(f"/proc/{record.get('pid')}/stat")
    now = _here(int(record.get("pid", 0)))
    if now.get("start") != record.get("start"):
        return True
    with contextlib.suppress(OSError, IndexError):
        return state.read_text().rpartition(")")[2].split()[0] in ("Z", "X")
    return True
