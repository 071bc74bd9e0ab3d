"""Amazon S3, and stores that speak its protocol (`AWS_ENDPOINT_URL_S3`), through boto3."""

from __future__ import annotations

import base64
import contextlib
import io
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO

from corpusmill.transforms.errors import StoreError
from corpusmill.transforms.secrets import mask
from corpusmill.transforms.storage.objects import AT_ONCE, Objects, changed, client_module
from corpusmill.transforms.storage.paths import Entry, bucket_and_key

_ONE_REQUEST = 4 << 30
"""Bytes up to which an object is written by one request; S3 takes 5 GB."""
_READS = 4
"""How often an object is asked for whose answer breaks off: the client tries requests again, and not what came of one."""
_MISSING = {"404", "NoSuchKey", "NotFound"}
_FAILED = {"412", "PreconditionFailed"}
_CONFLICT = {"409", "ConditionalRequestConflict"}
_DENIED = {"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "401"}


class S3(Objects):
    """A bucket of S3."""

    def __init__(self, scheme: str, bucket: str) -> None:
        boto3 = client_module("boto3", scheme)
        # what `AWS_MAX_ATTEMPTS` and profiles say of retries counts, else a busy store gets half a minute
        tries = {} if "AWS_MAX_ATTEMPTS" in os.environ else {"total_max_attempts": 6}
        config = client_module("botocore.config", scheme).Config(
            retries={"mode": "standard", **tries}, max_pool_connections=2 * AT_ONCE, connect_timeout=20
        )
        exceptions = client_module("botocore.exceptions", scheme)
        self._client_error, self._any_error = exceptions.ClientError, (exceptions.BotoCoreError, exceptions.ClientError)
        self._broken_off = (
            exceptions.HTTPClientError,
            exceptions.IncompleteReadError,
            exceptions.FlexibleChecksumError,
        )
        self._scheme, self._bucket = scheme, bucket
        with self._errors(f"{scheme}://{bucket}"):
            self._client = boto3.session.Session().client("s3", config=config)

    @contextlib.contextmanager
    def _errors(self, uri: str) -> Iterator[None]:
        """Turn the client's errors into ours."""
        try:
            yield
        except self._any_error as error:
            code = _code(error)
            if code in _MISSING:
                raise FileNotFoundError(2, "there is no such object", uri) from None
            if code in _DENIED:
                raise StoreError(
                    uri, f"the store refuses access ({code})", "check the credentials and their rights"
                ) from None
            if code == "NoSuchBucket":
                raise StoreError(uri, f"there is no bucket {self._bucket}", "make it, or correct the name") from None
            name = type(error).__name__
            if name in ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "CredentialRetrievalError"):
                raise StoreError(
                    uri,
                    f"no credentials ({error})",
                    "set AWS_PROFILE or the AWS_ variables, or give the machine a role",
                ) from None
            text = mask(" ".join(str(error).split()))[:300]
            raise StoreError(
                uri, f"the store failed ({code or name}: {text})", "try again; finished shards are kept"
            ) from error
        except KeyError as error:
            raise StoreError(
                uri,
                f"what answers is no S3: its answer lacks {error}",
                "correct AWS_ENDPOINT_URL_S3, or the proxy in between",
            ) from error
        except ValueError as error:  # of an endpoint that is no URL
            raise StoreError(uri, f"no store to ask: {mask(str(error))}", "correct AWS_ENDPOINT_URL_S3") from error

    def get(self, uri: str, begin: int = 0, end: int | None = None, version: str = "") -> bytes:
        return self._get(uri, begin, end, version)[0]

    def get_versioned(self, uri: str) -> tuple[bytes, str]:
        return self._get(uri, 0, None, "")

    def _get(self, uri: str, begin: int, end: int | None, version: str) -> tuple[bytes, str]:
        if end is not None and end <= begin:
            return b"", ""
        wanted = {} if not begin and end is None else {"Range": f"bytes={begin}-{'' if end is None else end - 1}"}
        wanted |= {"IfMatch": version} if version else {}
        with self._errors(uri):
            try:
                data, answer = self._read(uri, **wanted)
            except self._client_error as error:
                if _code(error) in _FAILED:
                    raise changed(uri) from error
                raise
            return data, answer["ETag"]

    def _read(self, uri: str, **wanted: str) -> tuple[bytes, dict[str, Any]]:
        """All that an answer brings, and the answer."""
        tries = 0
        while True:
            answer: dict[str, Any] = self._client.get_object(**self._place(uri), **wanted)
            try:
                with contextlib.closing(answer["Body"]) as body:
                    return body.read(), answer
            except self._broken_off:
                tries += 1
                if tries == _READS:
                    raise

    def tail(self, uri: str, n: int) -> tuple[bytes, int, str]:
        with self._errors(uri):
            try:
                data, answer = self._read(uri, Range=f"bytes=-{n}")
            except self._client_error as error:
                if _code(error) in ("InvalidRange", "416"):  # an empty object has no last bytes
                    return b"", 0, ""
                raise
        span = answer.get("ContentRange", "")
        return data, int(span.rpartition("/")[2]) if span else len(data), answer["ETag"]

    def head(self, uri: str) -> Entry:
        return self._head(uri)[0]

    def age(self, uri: str) -> float:
        _, answer = self._head(uri)
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        now = parsedate_to_datetime(date) if date else datetime.now(UTC)
        return float((now - answer["LastModified"]).total_seconds())

    def _head(self, uri: str, **more: str) -> tuple[Entry, dict[str, Any]]:
        with self._errors(uri):
            answer: dict[str, Any] = self._client.head_object(**self._place(uri), **more)
            return _entry(uri, answer["ContentLength"], answer), answer

    def sha256(self, uri: str) -> str | None:
        answer = self._head(uri, ChecksumMode="ENABLED")[1]
        kept = answer.get("ChecksumSHA256", "")
        if not kept or "-" in kept or answer.get("ChecksumType", "FULL_OBJECT") != "FULL_OBJECT":
            return None  # of a composite of parts
        return base64.b64decode(kept).hex()

    def put(
        self, uri: str, data: bytes | BinaryIO, *, absent: bool = False, version: str = "", sha256: str = ""
    ) -> str | None:
        fields: dict[str, Any] = {"IfNoneMatch": "*"} if absent else {"IfMatch": version} if version else {}
        if sha256:
            fields["ChecksumAlgorithm"] = "SHA256"
            fields["ChecksumSHA256"] = base64.b64encode(bytes.fromhex(sha256)).decode()
        if not isinstance(data, bytes) and data.seek(0, io.SEEK_END) > _ONE_REQUEST:
            data.seek(0)
            with self._errors(uri):
                self._client.upload_fileobj(data, *bucket_and_key(uri))
            return ""
        for _ in range(10):
            if not isinstance(data, bytes):
                data.seek(0)
            try:
                with self._errors(uri):
                    try:
                        return str(self._client.put_object(**self._place(uri), Body=data, **fields)["ETag"])
                    except self._client_error as error:
                        if _code(error) in _FAILED:
                            return None
                        if _code(error) in _CONFLICT:  # another conditional write was under way; the next try decides
                            continue
                        raise
            except FileNotFoundError:
                if version:  # what was read is gone
                    return None
                raise
        raise StoreError(uri, "the store reports conflicting writes again and again", "run the same command again")

    def remove(self, uri: str) -> None:
        with contextlib.suppress(FileNotFoundError), self._errors(uri):
            self._client.delete_object(**self._place(uri))

    def copy(self, source: str, target: str) -> None:
        bucket, key = bucket_and_key(source)
        with self._errors(f"{source} -> {target}"):
            self._client.copy({"Bucket": bucket, "Key": key}, *bucket_and_key(target))

    def below(self, uri: str) -> Iterator[Entry]:
        for page in self._pages(uri, {}):
            for item in page.get("Contents", []):
                if not item["Key"].endswith("/"):  # a marker that consoles make for an empty folder
                    yield _entry(f"{self._scheme}://{self._bucket}/{item['Key']}", item["Size"], item)

    def names_in(self, uri: str) -> list[str]:
        names = []
        for page in self._pages(uri, {"Delimiter": "/"}):
            keys = [f["Key"] for f in page.get("Contents", [])] + [f["Prefix"] for f in page.get("CommonPrefixes", [])]
            names += [n for key in keys if (n := key.rstrip("/").rpartition("/")[2]) and key != page["Prefix"]]
        return sorted(names)

    def _pages(self, uri: str, more: dict[str, str]) -> Iterator[dict[str, Any]]:
        bucket, key = bucket_and_key(uri)
        prefix = f"{key.rstrip('/')}/" if key else ""
        with self._errors(uri):
            yield from self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, **more)

    def _place(self, uri: str) -> dict[str, str]:
        bucket, key = bucket_and_key(uri)
        if not key:
            raise FileNotFoundError(2, "the name of a bucket, not of an object in it", uri)
        return {"Bucket": bucket, "Key": key}


def _code(error: Exception) -> str:
    response = getattr(error, "response", None) or {}  # None if there was no answer
    return str(response.get("Error", {}).get("Code", ""))


def _entry(uri: str, size: int, answer: dict[str, Any]) -> Entry:
    return Entry(uri, int(size), f"etag:{answer['ETag']}".replace('"', ""), answer["LastModified"].timestamp())
