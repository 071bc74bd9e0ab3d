"""Google Cloud Storage, through its own client. `STORAGE_EMULATOR_HOST` names another server, as the client knows it."""

from __future__ import annotations

import contextlib
import io
import os
import uuid
from collections.abc import Iterator
from typing import Any, BinaryIO

from corpusmill.transforms.errors import StoreError
from corpusmill.transforms.storage.objects import Objects, changed, client_module
from corpusmill.transforms.storage.paths import Entry, bucket_and_key


class Gcs(Objects):
    """A bucket of Google Cloud Storage. A version is the object's generation."""

    def __init__(self, scheme: str, bucket: str) -> None:
        storage = client_module("google.cloud.storage", scheme)
        auth = client_module("google.auth.exceptions", scheme)
        errors = client_module("google.api_core.exceptions", scheme)
        self._retry = client_module("google.cloud.storage.retry", scheme).DEFAULT_RETRY
        self._missing, self._failed, self._denied = (
            errors.NotFound,
            errors.PreconditionFailed,
            (errors.Forbidden, errors.Unauthorized),
        )
        broken = client_module("google.cloud.storage.exceptions", scheme)
        self._any_error = (errors.GoogleAPIError, OSError, broken.DataCorruption, broken.InvalidResponse)
        self._no_credentials = auth.GoogleAuthError
        self._scheme, self._name = scheme, bucket
        with self._errors(f"{scheme}://{bucket}"):
            emulated = os.environ.get("STORAGE_EMULATOR_HOST")
            client = storage.Client.create_anonymous_client() if emulated else storage.Client(project=None)
            self._client, self._bucket = client, client.bucket(bucket)

    @contextlib.contextmanager
    def _errors(self, uri: str) -> Iterator[None]:
        """Turn the client's errors into ours."""
        try:
            yield
        except self._missing as error:
            if "bucket does not exist" in str(error):
                raise StoreError(uri, f"there is no bucket {self._name}", "make it, or correct the name") from None
            raise FileNotFoundError(2, "there is no such object", uri) from None
        except self._no_credentials as error:
            todo = "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
            raise StoreError(uri, f"no credentials ({' '.join(str(error).split())[:200]})", todo) from None
        except self._denied as error:
            raise StoreError(
                uri, f"the store refuses access ({error.code})", "check the credentials and their rights"
            ) from None
        except self._any_error as error:
            text = " ".join(str(error).split())[:300]
            raise StoreError(
                uri, f"the store failed ({type(error).__name__}: {text})", "try again; finished shards are kept"
            ) from error

    def _blob(self, uri: str) -> Any:
        key = bucket_and_key(uri)[1]
        if not key:
            raise FileNotFoundError(2, "the name of a bucket, not of an object in it", uri)
        return self._bucket.blob(key)

    def get(self, uri: str, begin: int = 0, end: int | None = None, version: str = "") -> bytes:
        if end is not None and end <= begin:
            return b""
        condition = {"if_generation_match": int(version)} if version else {}
        with self._errors(uri):
            try:
                data: bytes = self._blob(uri).download_as_bytes(
                    start=begin or None, end=None if end is None else end - 1, **condition
                )
            except self._failed as error:
                raise changed(uri) from error
        return data

    def tail(self, uri: str, n: int) -> tuple[bytes, int, str]:
        blob = self._reloaded(uri)
        size, version = int(blob.size), str(blob.generation)
        return self.get(uri, max(0, size - n), size, version), size, version

    def get_versioned(self, uri: str) -> tuple[bytes, str]:
        blob = self._blob(uri)
        with self._errors(uri):
            data: bytes = blob.download_as_bytes()
        return data, str(blob.generation)

    def head(self, uri: str) -> Entry:
        return self._entry(self._reloaded(uri))

    def _reloaded(self, uri: str) -> Any:
        blob = self._blob(uri)
        with self._errors(uri):
            blob.reload()
        return blob

    def _entry(self, blob: Any) -> Entry:
        stamp = f"generation:{blob.generation}"
        return Entry(f"{self._scheme}://{self._name}/{blob.name}", int(blob.size), stamp, blob.updated.timestamp())

    def age(self, uri: str) -> float:
        # the client shows no time but those of objects, so one is made to read the store's clock
        written, clock = self._reloaded(uri), f"{uri}.clock-{uuid.uuid4().hex}"
        self.put(clock, b"")
        try:
            return float((self._reloaded(clock).updated - written.updated).total_seconds())
        finally:
            self.remove(clock)

    def put(
        self, uri: str, data: bytes | BinaryIO, *, absent: bool = False, version: str = "", sha256: str = ""
    ) -> str | None:
        blob = self._blob(uri)
        condition = {"if_generation_match": 0} if absent else {"if_generation_match": int(version)} if version else {}
        # content-addressed objects are written without a condition: writing one again gives the same object
        source = io.BytesIO(data) if isinstance(data, bytes) else data
        size = source.seek(0, io.SEEK_END)
        with self._errors(uri):
            try:
                blob.upload_from_file(source, rewind=True, size=size, checksum="auto", retry=self._retry, **condition)
            except self._failed:
                return None
        return str(blob.generation)

    def remove(self, uri: str) -> None:
        with contextlib.suppress(FileNotFoundError), self._errors(uri):
            self._blob(uri).delete(retry=self._retry)

    def copy(self, source: str, target: str) -> None:
        bucket, key = bucket_and_key(target)
        old, new = self._blob(source), self._client.bucket(bucket).blob(key)
        with self._errors(f"{source} -> {target}"):
            token, _, _ = new.rewrite(old, retry=self._retry)
            while token is not None:
                token, _, _ = new.rewrite(old, token=token, retry=self._retry)

    def below(self, uri: str) -> Iterator[Entry]:
        with self._errors(uri):
            for blob in self._client.list_blobs(self._bucket, prefix=_prefix(uri)):
                if not blob.name.endswith("/"):  # a marker that consoles make for an empty folder
                    yield self._entry(blob)

    def names_in(self, uri: str) -> list[str]:
        prefix = _prefix(uri)
        with self._errors(uri):
            listed = self._client.list_blobs(self._bucket, prefix=prefix, delimiter="/")
            names = [blob.name for blob in listed] + list(listed.prefixes)
        return sorted(n.rstrip("/").rpartition("/")[2] for n in names if n != prefix)


def _prefix(uri: str) -> str:
    key = bucket_and_key(uri)[1].rstrip("/")
    return f"{key}/" if key else ""
