"""The write lock of a dataset: it names its holder, and frees itself when that dies.

On a disk it is the operating system's, on an open file. In an object store it is an object, made and replaced under a
condition, that its holder renews every `BEAT` seconds; one that was not renewed for `LEASE` seconds by the store's own clock
is taken over, and one of a process that died on this machine at once. A holder that was cut off for so long finds, before it
commits or removes anything, that the lock is another's. The lock saves work; that no commit is lost follows from
compare-and-set on the manifests.
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
"""Seconds between two renewals, and seconds after the last one when others may take the lock."""


@contextlib.contextmanager
def held(dataset: str, root: str) -> Iterator[None]:
    """Hold the lock of a dataset whose folder of work is `root`, after probing that the place can hold one.

    Raises:
        LockedError: another process holds it; the message names that process.
        UnfitStoreError: the store cannot do what agreement between writers needs.
    """
    storage.makedirs(root)
    probe(root)
    path = storage.join(root, "lock")
    with _on_disk(dataset, path) if storage.is_local(dataset) else _Lease(dataset, path):
        yield


def confirm(dataset: str) -> None:
    """To be called before what cannot be undone: the lock that this process took is still its own.

    Raises:
        LockedError: it was cut off for so long that another process took the lock.
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
        finally:  # by closing alone it would stay with a process that another thread is just starting, until that is another
            fcntl.flock(handle, fcntl.LOCK_UN)
    finally:
        os.close(handle)


_leases: dict[str, _Lease] = {}


class _Lease:
    """The lock as an object, renewed by a thread while the block lasts."""

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
        """Whether the lock is ours now; False: it changed meanwhile, look again."""
        mine = self._bytes()
        version = self._store.put(self._uri, mine, absent=True)
        if version is None:
            try:
                data, seen = self._store.get_versioned(self._uri)
                age = self._store.age(self._uri)
            except FileNotFoundError:
                return False
            theirs = _parsed(data)
            if theirs.get("token") == self._record["token"]:  # the answer to our first try was lost
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
        with contextlib.suppress(StoreError, FileNotFoundError):  # it frees itself if the store cannot be reached
            if self._version:
                self._store.put(self._uri, json.dumps({"holder": ""}).encode(), version=self._version)

    def _renew(self) -> None:
        while not self._stop.wait(BEAT):
            with contextlib.suppress(StoreError):  # tried again at the next beat
                self._beat()

    def _beat(self) -> None:
        with self._mutex:
            if self._version:
                self._record["beat"] += 1
                self._version = storage.replace_if(self._uri, self._bytes(), self._version) or ""
                self._good = time.monotonic()

    def confirm(self) -> None:
        """Renew now, unless that was just done."""
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
    """What tells a process of this machine from every other: the boot, the process namespace, its id and start."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        start = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        return {"boot": boot, "namespace": os.readlink("/proc/self/ns/pid"), "pid": pid, "start": start}
    except (OSError, IndexError):
        return {}


def _dead(record: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that is no more."""
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
