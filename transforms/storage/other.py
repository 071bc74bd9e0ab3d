"""Any other store that fsspec has a client for: good for sources. It serves for datasets where it can write under a
condition, which the probe finds out."""

from __future__ import annotations

import contextlib
import inspect
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

from corpusmill.transforms.errors import MissingDependencyError, StoreError
from corpusmill.transforms.storage.objects import Objects
from corpusmill.transforms.storage.paths import Entry


class Other(Objects):
    """Every bucket of a scheme."""

    def __init__(self, scheme: str, bucket: str) -> None:
        import fsspec

        del bucket
        try:
            inspect.signature(fsspec.get_filesystem_class(scheme).__init__).bind(
                None
            )  # ftp and the like need more than a URI
            self._fs: Any = fsspec.filesystem(scheme, use_listings_cache=False)
        except (ImportError, ValueError, TypeError, OSError) as error:  # such as a library of Java that is not there
            raise MissingDependencyError(
                f"no client for '{scheme}://': {error}. To go on: install the fsspec client of '{scheme}', or use s3:// or gs://."
            ) from error

    def _path(self, uri: str) -> str:
        return str(self._fs._strip_protocol(uri))

    def get(self, uri: str, begin: int = 0, end: int | None = None, version: str = "") -> bytes:
        return bytes(self._fs.cat_file(self._path(uri), begin or None, end))

    def get_versioned(self, uri: str) -> tuple[bytes, str]:
        return self.get(uri), self.head(uri).stamp

    def head(self, uri: str) -> Entry:
        return _entry(uri, self._fs.info(self._path(uri)))

    def age(self, uri: str) -> float:
        return time.time() - self.head(uri).modified

    def put(
        self, uri: str, data: bytes | BinaryIO, *, absent: bool = False, version: str = "", sha256: str = ""
    ) -> str | None:
        if version:
            raise StoreError(uri, "this store cannot replace an object under a condition", "use s3:// or gs://")
        if not isinstance(data, bytes):
            data.seek(0)
            data = data.read()
        try:
            self._fs.pipe_file(self._path(uri), data, **({"mode": "create"} if absent else {}))
        except FileExistsError:
            return None
        except TypeError:  # a client that knows no mode
            raise StoreError(
                uri, "this store cannot create an object under a condition", "use s3:// or gs://"
            ) from None
        return ""

    def remove(self, uri: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            try:
                self._fs.rm_file(self._path(uri))
            except NotImplementedError:
                raise StoreError(uri, "this store is only read from", "use s3:// or gs://") from None

    def copy(self, source: str, target: str) -> None:
        self._fs.copy(self._path(source), self._path(target))

    def below(self, uri: str) -> Iterator[Entry]:
        path = self._path(uri)
        try:
            entries = self._fs.find(path, detail=True)
        except FileNotFoundError:
            return
        for name, info in sorted(entries.items()):
            if info["type"] == "file" and name.strip("/") != path.strip("/"):
                yield _entry(f"{uri.rstrip('/')}/{name.strip('/')[len(path.strip('/')) :].strip('/')}", info)

    def names_in(self, uri: str) -> list[str]:
        try:
            return sorted(n.rstrip("/").rpartition("/")[2] for n in self._fs.ls(self._path(uri), detail=False))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def exists(self, uri: str) -> bool:
        return bool(self._fs.isfile(self._path(uri)))


def _entry(uri: str, info: dict[str, Any]) -> Entry:
    if info.get("type") == "directory":
        raise FileNotFoundError(2, "there is no such object", uri)
    when = next((info[k] for k in ("LastModified", "mtime", "updated", "created") if info.get(k)), 0.0)
    modified = float(when.timestamp() if hasattr(when, "timestamp") else when if isinstance(when, int | float) else 0)
    # an etag names the content; where a store has none, the time of the last change has to do
    for key in ("ETag", "etag", "md5Hash", "crc32c", "generation", "LastModified", "mtime", "updated", "created"):
        if info.get(key):
            return Entry(uri, int(info.get("size") or 0), f"{key}:{info[key]}".replace('"', ""), modified)
    return Entry(uri, int(info.get("size") or 0), "", modified)
