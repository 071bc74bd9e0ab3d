"""Whether a place can hold a dataset: it must let one of two writers win, and say so to the other.

Tried with a small file before anything is written: the store may not know the conditions, a proxy may drop them, a mounted
file system may not have links.
"""

from __future__ import annotations

import contextlib
import functools
import os
import uuid

from corpusmill.transforms.errors import StoreError, UnfitStoreError
from corpusmill.transforms.storage import local
from corpusmill.transforms.storage.objects import objects
from corpusmill.transforms.storage.paths import is_local, local_path


def probe(folder: str) -> None:
    """Try compare-and-set in a folder.

    Raises:
        UnfitStoreError: two writers could each believe that they won; the message says what to do.
        StoreError: the store refuses access, or cannot be reached.
    """
    _probe_local(local_path(folder)) if is_local(folder) else _probe_store(folder)


def _probe_local(folder: str) -> None:
    device = os.stat(folder).st_dev
    if device in _good_devices:
        return
    name = os.path.join(folder, f"{local.TEMPORARY}probe-{uuid.uuid4().hex[:12]}")
    try:
        with open(name, "xb"):
            pass
        os.link(name, name + "-2")
        try:
            os.link(name, name + "-2")
        except FileExistsError:
            _good_devices.add(device)
            return
        what = "makes a link twice"
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        what = f"has no hard links ({error.strerror})"
    finally:
        for link in (name, name + "-2"):
            with contextlib.suppress(OSError):
                os.unlink(link)
    raise UnfitStoreError(
        folder,
        f"the file system {what}, so that two writers could overwrite each other's snapshot. Nothing was written",
        "put the output on another disk (ext4, xfs, apfs, NFS and Lustre have them), or on s3:// or gs://",
    )


_NO_LINKS = {1, 38, 45, 95, 102}
"""EPERM, ENOSYS and the ways in which systems say that an operation is not supported."""
_good_devices: set[int] = set()


@functools.lru_cache(64)
def _probe_store(folder: str) -> None:
    store = objects(folder)
    name = f"{folder.rstrip('/')}/probe-{uuid.uuid4().hex}"
    try:
        first = store.put(name, b"first", absent=True)
        faults = [
            "it refuses to create an object that is not there" if first is None else "",
            "it creates an object that exists already" if store.put(name, b"second", absent=True) is not None else "",
        ]
        data, version = store.get_versioned(name)
        if not any(faults):
            other = store.put(name, b"third", version=version)
            late = store.put(name, b"fourth", version=version)
            faults.append("it refuses to replace an object that is unchanged" if other is None else "")
            faults.append("it replaces an object that was changed meanwhile" if late is not None else "")
            data = store.get(name)
            faults.append("" if data == b"third" else "it does not give back what was written last")
    except StoreError as error:
        if "condition" not in error.what:
            raise
        faults = [error.what]
    finally:
        with contextlib.suppress(StoreError):
            store.remove(name)
    reasons = [fault for fault in faults if fault]
    if reasons:
        raise UnfitStoreError(
            folder,
            f"this store cannot hold a dataset: {'; '.join(reasons)}. So two writers could overwrite each other's snapshot. "
            "Nothing was written",
            "use a store with conditional writes (Amazon S3, Google Cloud Storage, MinIO, R2), or a folder of a disk",
        )
