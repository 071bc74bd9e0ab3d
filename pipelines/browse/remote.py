"""Files of object stores for DuckDB, read through corpusmill's own storage and its credentials."""

from __future__ import annotations

from typing import Any

from fsspec import AbstractFileSystem
from fsspec.spec import AbstractBufferedFile

from corpusmill.transforms import storage

PROTOCOL = "corpusmill"


class StoreFiles(AbstractFileSystem):
    """A read-only view of every store that `storage` knows: `corpusmill://s3/bucket/key` is `s3://bucket/key`."""

    protocol = PROTOCOL
    cachable = False

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """Name, size and type of a file."""
        return {"name": path, "size": storage.stat(address(path)).size, "type": "file"}

    def _open(self, path: str, mode: str = "rb", **options: Any) -> AbstractBufferedFile:
        return storage.open_input(address(path))  # type: ignore[return-value]

    def open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        """A seekable file. DuckDB asks for modes of reading alone."""
        return self._open(path)

    def glob(self, path: str, **options: Any) -> list[str]:
        """The path itself: files are named one by one."""
        return [self._strip_protocol(path)]

    def modified(self, path: str) -> Any:
        """A constant: published files never change."""
        from datetime import UTC, datetime

        return datetime.fromtimestamp(0, UTC)


def name(uri: str) -> str:
    """How DuckDB names a file of a store."""
    scheme, _, rest = uri.partition("://")
    return f"{PROTOCOL}://{scheme}/{rest}"


def address(path: str) -> str:
    """The address behind a name of `name`."""
    scheme, _, rest = path.removeprefix(f"{PROTOCOL}://").lstrip("/").partition("/")
    return f"{scheme}://{rest}"
