"""A body of HTTP as a file that a source format reads: a web archive of one record for HTML, else the bytes themselves."""

from __future__ import annotations

import hashlib
import itertools
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from corpusmill.transforms import storage
from corpusmill.transforms.sources import formats
from corpusmill.transforms.sources.fetch.connection import Answer, PassingError, TooLargeError
from corpusmill.transforms.sources.files import compression_of, ending_of

UNKNOWN = "address with a file of unknown format"
ENCODED = "address with a body in an unknown encoding"
_HTML = ("text/html", "application/xhtml+xml")
_TYPES = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "application/json": "jsonl",
    "application/jsonl": "jsonl",
    "application/x-ndjson": "jsonl",
    "application/ndjson": "jsonl",
    "text/plain": "text",
    "text/markdown": "text",
    "application/epub+zip": "epub",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.apache.parquet": "parquet",
    "application/zip": "zip",
    "application/x-tar": "tar",
    "application/warc": "warc",
}
_LEFT = frozenset(["transfer-encoding", "connection", "keep-alive", "set-cookie"])


@dataclass
class Saved:
    """A file that was saved. body: SHA-256 of the body, sha256: of the file, both in hexadecimal digits."""

    file: str
    format: str
    body: str
    sha256: str


def save(address: str, answer: Answer, limit: int, stem: str, form: str, date: str) -> Saved | str:
    """Save a body beside `stem`; why it is left out, where it is.

    Args:
        stem: path of the file without its ending.
        form: the format that the recipe names, or `auto`.
        date: of now, ISO 8601, for the record of a web archive.

    Raises:
        TooLargeError, PassingError: as `Answer.pieces`.
    """
    kind = answer.header("content-type").partition(";")[0].strip().lower()
    path = address.partition("?")[0]
    if form in ("auto", "warc") and kind in _HTML:
        body = b"".join(answer.pieces(limit))
        return _write(stem + ".warc", "warc", iter([_record(address, answer, body, date)]), body)
    named = formats.by_extension(path)
    chosen = form if form != "auto" else named or _TYPES.get(kind, "")
    ending = ending_of(path) if named == chosen else ""
    pieces: Iterator[bytes] | str = _plain(answer, ending, limit)
    if isinstance(pieces, str):
        return pieces
    first = next(pieces, b"")
    chosen = chosen or formats.by_content(first[:64]) or ""
    if not chosen:
        return UNKNOWN
    known = formats.known()[chosen].extensions
    return _write(stem + (ending or (known[0] if known else ".txt")), chosen, itertools.chain([first], pieces))


def _plain(answer: Answer, ending: str, limit: int) -> Iterator[bytes] | str:
    """The body without its content encoding, unless the file's own name says that it is compressed."""
    names = [n.strip() for n in answer.header("content-encoding").lower().split(",")]
    coded = [n for n in names if n not in ("", "identity")]
    if not coded or (coded in (["gzip"], ["x-gzip"]) and compression_of("x" + ending) == "gzip"):
        return answer.pieces(limit)
    if coded not in (["gzip"], ["x-gzip"], ["deflate"]):
        return ENCODED
    return _inflated(answer.pieces(limit), limit)


def _inflated(pieces: Iterator[bytes], limit: int) -> Iterator[bytes]:
    decoder, size = zlib.decompressobj(47), 0  # gzip or zlib
    try:
        for piece in pieces:
            while piece:
                data = decoder.decompress(piece, 1 << 20)
                size += len(data)
                if size > limit:
                    raise TooLargeError(f"more than {limit:,} bytes once decoded")
                piece = decoder.unconsumed_tail
                yield data
    except zlib.error as error:
        raise PassingError(f"its compressed body is damaged ({error})") from error
    if not decoder.eof:
        raise PassingError("its compressed body ends early")


def _write(path: str, form: str, pieces: Iterator[bytes], body: bytes | None = None) -> Saved:
    """Write a file whole or not at all."""
    new, digest = storage.NewFile(path), hashlib.sha256()
    try:
        with open(new.path, "wb") as out:
            for piece in pieces:
                out.write(piece)
                digest.update(piece)
        new.publish()
    finally:
        new.discard()
    whole = digest.hexdigest()
    return Saved(path, form, whole if body is None else hashlib.sha256(body).hexdigest(), whole)


def _record(address: str, answer: Answer, body: bytes, date: str) -> bytes:
    """A record of a web archive (WARC 1.1) with the header as it came, without what is only of the connection."""
    lines = [f"HTTP/1.1 {answer.status} {answer.reason}"]
    lines += [f"{k}: {v}" for k, v in answer.headers if k.lower() not in _LEFT]
    http = "\r\n".join(" ".join(line.split()) for line in lines).encode("latin-1", "replace") + b"\r\n\r\n"
    digest = hashlib.sha256(body).hexdigest()
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"{address} {date} {digest}")
    head = (
        "WARC/1.1\r\nWARC-Type: response\r\n"
        f"WARC-Record-ID: <urn:uuid:{name}>\r\nWARC-Target-URI: {address}\r\nWARC-Date: {date}\r\n"
        f"WARC-Payload-Digest: sha256:{digest}\r\nContent-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(http) + len(body)}\r\n\r\n"
    )
    return head.encode() + http + body + b"\r\n\r\n"
