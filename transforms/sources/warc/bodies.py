"""HTTP bodies of web archives without their transfer and content encodings, to a bound."""

from __future__ import annotations

import re
import zlib
from typing import Any

from corpusmill.transforms.errors import MissingDependencyError

_CHUNK = re.compile(rb"[0-9A-Fa-f]{1,16}[ \t]*(?:;[^\r\n]*)?\r?\n")
_MARKUP = re.compile(rb"<[A-Za-z!/?]")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_STEP = 64 << 10


class BodyError(Exception):
    """Why a body cannot be decoded."""


def fastwarc() -> Any:
    """The module `fastwarc.warc`.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import fastwarc.warc
    except ImportError as error:
        raise MissingDependencyError(
            "web archives need the package fastwarc. To go on: pip install 'corpusmill[web]'."
        ) from error
    return fastwarc.warc


def body_of(record: Any, limit: int, partial: bool) -> bytes:
    """The body of a record of fastwarc whose HTTP headers are parsed, decoded.

    A body that does not have the encoding that its headers name is taken as it is: many archives hold it decoded already.

    Args:
        limit: bytes behind which no more is decoded; a body that is longer comes with more than that.
        partial: a body that ends early is what it should be: the record says that the capture was truncated.

    Raises:
        BodyError: the body is damaged, or ends early.
    """
    data: bytes = record.reader.read()
    headers = record.http_headers
    if "chunked" in (headers.get("Transfer-Encoding") or "").lower() and _CHUNK.match(data):
        data = _unchunked(data, partial)
    names = [n.strip().lower() for n in (headers.get("Content-Encoding") or "").split(",")]
    for name in reversed([n for n in names if n not in ("", "identity", "none", "utf-8")]):
        if _MARKUP.search(data, 0, 4096) and not _CONTROL.search(data, 0, 512):
            break  # it is decoded already
        data = _decoded(data, name, limit, partial)
        if len(data) > limit:
            break
    return data


def _unchunked(data: bytes, partial: bool) -> bytes:
    """The chunks of a chunked body, joined (RFC 9112, section 7.1)."""
    pieces: list[bytes] = []
    at = 0
    while True:
        head = _CHUNK.match(data, at)
        if head is None:
            if partial or (data[at:].strip() == b"" and pieces):  # the last chunk is missing, and nothing else
                break
            raise BodyError("its chunked body is damaged or ends early")
        size, at = int(re.split(rb"[;\s]", head[0])[0], 16), head.end()
        if size == 0:
            break
        piece = data[at : at + size]
        pieces.append(piece)
        if len(piece) < size:
            if partial:
                break
            raise BodyError("its chunked body ends early")
        at += size
        at += 2 if data[at : at + 2] == b"\r\n" else 1 if data[at : at + 1] == b"\n" else 0
    return b"".join(pieces)


def _decoded(data: bytes, name: str, limit: int, partial: bool) -> bytes:
    if name in ("gzip", "x-gzip", "deflate"):
        if name == "deflate" and data[:2] not in _ZLIB:
            return _inflated(data, -15, limit, partial)  # without the header of zlib, as some servers send it
        return _inflated(data, 15 if name == "deflate" else 31, limit, partial)
    if name == "br":
        return _through("BrotliReader", data, name, limit, partial)
    if name == "zstd":
        return _through("ZstdReader", data, name, limit, partial)
    raise BodyError(f"its Content-Encoding '{name[:40]}' is not known")


def _inflated(data: bytes, wbits: int, limit: int, partial: bool) -> bytes:
    decoder = zlib.decompressobj(wbits)
    try:
        out = decoder.decompress(data, limit + 1)
    except zlib.error as error:
        raise BodyError(f"its compressed body is damaged ({error})") from error
    if not decoder.eof and len(out) <= limit and not partial:
        raise BodyError("its compressed body ends early")
    return out


def _through(reader: str, data: bytes, name: str, limit: int, partial: bool) -> bytes:
    import io

    from fastwarc import stream_io

    stream, pieces, left = getattr(stream_io, reader)(io.BytesIO(data)), [], limit + 1
    try:
        while left > 0 and (piece := stream.read(min(left, _STEP))):
            pieces.append(piece)
            left -= len(piece)
    except OSError as error:
        if not partial:
            raise BodyError(f"its {name} body is damaged or ends early ({error})") from error
    return b"".join(pieces)
