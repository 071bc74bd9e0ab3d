"""An object store, as little of one as corpusmill needs: whole objects, ranges of them, and writes under a condition.

An object is there when its write is complete and not before, so nothing is written under a temporary name and nothing is
renamed. Two conditions carry all agreement between writers:

    absent     write only if there is no object of this name (S3: If-None-Match, Google: generation 0)
    version    write only if the object is still the one that was read (S3: If-Match, Google: its generation)

A store is one bucket; names are whole URIs.
"""

from __future__ import annotations

import abc
import functools
import importlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, TypeVar

from corpusmill.transforms.errors import MissingDependencyError, StoreError
from corpusmill.transforms.storage.paths import Entry, bucket_and_key, scheme_of

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 16
"""Requests under way at a time: their latency, not their bytes, is what small objects cost."""


def changed(uri: str) -> StoreError:
    """The error of an object that is not of the version that was asked for."""
    return StoreError(uri, "the object changed while it was read", "run the same command again when nothing writes it")


class Objects(abc.ABC):
    """A bucket. Every method raises StoreError for a fault of the store, and FileNotFoundError for an object that is not
    there; the client behind it takes its credentials from the environment, a profile or the machine, and nowhere else."""

    @abc.abstractmethod
    def get(self, uri: str, begin: int = 0, end: int | None = None, version: str = "") -> bytes:
        """The bytes of an object from `begin` to before `end`, of this version if one is given.

        Raises:
            StoreError: the object is of another version (where the store can tell).
        """

    @abc.abstractmethod
    def get_versioned(self, uri: str) -> tuple[bytes, str]:
        """A whole object, and the version that `put` compares."""

    @abc.abstractmethod
    def head(self, uri: str) -> Entry:
        """Size, stamp and time of an object."""

    def tail(self, uri: str, n: int) -> tuple[bytes, int, str]:
        """The last n bytes of an object (all of a smaller one), its size, and the version that `get` takes."""
        size = self.head(uri).size
        return self.get(uri, max(0, size - n), size), size, ""

    @abc.abstractmethod
    def age(self, uri: str) -> float:
        """Seconds since an object was written, both by the store's clock."""

    @abc.abstractmethod
    def put(
        self, uri: str, data: bytes | BinaryIO, *, absent: bool = False, version: str = "", sha256: str = ""
    ) -> str | None:
        """Write an object, and return its version; None, and nothing is changed, where a condition does not hold. sha256:
        of `data` in hexadecimal digits, for stores that check and keep it."""

    @abc.abstractmethod
    def remove(self, uri: str) -> None:
        """Remove an object; nothing if it is not there."""

    @abc.abstractmethod
    def copy(self, source: str, target: str) -> None:
        """Copy an object within the store's own service."""

    @abc.abstractmethod
    def below(self, uri: str) -> Iterator[Entry]:
        """Every object whose name begins with that of a folder, in the order of names."""

    @abc.abstractmethod
    def names_in(self, uri: str) -> list[str]:
        """Names of the objects and folders that lie in a folder."""

    def sha256(self, uri: str) -> str | None:
        """The SHA-256 that the store keeps of an object's bytes, in hexadecimal digits, if it keeps one."""
        return None

    def exists(self, uri: str) -> bool:
        """Whether there is an object of this name."""
        try:
            self.head(uri)
        except FileNotFoundError:
            return False
        return True

    def is_dir(self, uri: str) -> bool:
        """Whether there are objects below this name."""
        return next(iter(self.below(uri)), None) is not None


_CLIENTS = {
    "s3": "corpusmill.transforms.storage.s3:S3",
    "gs": "corpusmill.transforms.storage.gcs:Gcs",
    "gcs": "corpusmill.transforms.storage.gcs:Gcs",
}
_EXTRAS = {"s3": "s3", "gs": "gcs", "gcs": "gcs"}


def objects(uri: str) -> Objects:
    """The store of a remote uri.

    Raises:
        MissingDependencyError: its client is not installed.
        RecipeError: the URI carries credentials.
    """
    scheme = scheme_of(uri)
    return _store(scheme, bucket_and_key(uri)[0] if scheme in _CLIENTS else "", os.getpid())


@functools.lru_cache(64)
def _store(scheme: str, bucket: str, process: int) -> Objects:
    del process  # connections do not survive a fork
    module, _, name = _CLIENTS.get(scheme, "corpusmill.transforms.storage.other:Other").partition(":")
    store: Objects = getattr(importlib.import_module(module), name)(scheme, bucket)
    return store


def forget_clients() -> None:
    """Make clients anew at their next use: the environment names another store now."""
    _store.cache_clear()


def client_module(name: str, scheme: str) -> Any:
    """A client's module.

    Raises:
        MissingDependencyError: it is not installed; the message says what to install.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        extra = _EXTRAS.get(scheme)
        todo = f"pip install 'corpusmill[{extra}]'" if extra else f"install the fsspec client of '{scheme}'"
        raise MissingDependencyError(
            f"{scheme}:// needs {name.partition('.')[0]}, which is not here: {error}. To go on: {todo}."
        ) from error


_pool_lock = threading.Lock()


@functools.lru_cache(1)
def _pool(process: int) -> ThreadPoolExecutor:
    del process
    return ThreadPoolExecutor(AT_ONCE, "store")


def at_once(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """`function` of each item, several at a time; the first error is raised when all have ended."""
    sequence: Sequence[T] = list(items)
    if len(sequence) < 2 or threading.current_thread().name.startswith("store"):
        return [function(item) for item in sequence]
    with _pool_lock:
        pool = _pool(os.getpid())
    futures = [pool.submit(function, item) for item in sequence]
    errors = [e for f in futures if (e := f.exception()) is not None]
    if errors:
        raise errors[0]
    return [f.result() for f in futures]
