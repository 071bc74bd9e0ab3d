"""Bytes of web pages as text: by a byte order mark, as UTF-8 where they are that, by HTTP, by `meta`, and else by their look.

Servers and pages name encodings that they do not use. Bytes that are valid UTF-8 are UTF-8, whatever they say; a named encoding
counts if all bytes are valid in it. Names mean what browsers mean by them (WHATWG Encoding): iso-8859-1 is cp1252.
"""

from __future__ import annotations

import codecs
import re

import numpy as np
import pyarrow as pa

from corpusmill.transforms.errors import MissingDependencyError

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_META = re.compile(
    rb"<meta[^>]{0,400}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{2,40})|<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9_:.-]{2,40})",
    re.IGNORECASE,
)
_HEAD = 8192
_BEYOND_ASCII = bytes(range(128, 256))
_AS_BROWSERS = {
    "ascii": "cp1252",
    "us-ascii": "cp1252",
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "iso-8859-9": "cp1254",
    "iso-8859-11": "cp874",
    "tis-620": "cp874",
    "windows-874": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "x-sjis": "cp932",
    "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949",
    "big5": "big5hkscs",
    "x-euc-jp": "euc_jp",
}
_NO_TEXT = {"base64", "bz2", "hex", "quopri", "rot13", "uu", "zlib", "unicode_escape", "raw_unicode_escape", "idna",
            "punycode", "undefined", "mbcs", "oem"}  # fmt: skip


def as_utf8(data: bytes, http: str = "") -> tuple[bytes, str]:
    """A page in UTF-8 (the bytes themselves where they are that), and the name of the encoding by which it was read.

    Args:
        http: the charset of the HTTP header, if there is one.

    Raises:
        MissingDependencyError: the encoding must be told by its look, and resiliparse is not installed.
    """
    mark, name = next(((mark, name) for mark, name in _MARKS if data.startswith(mark)), (b"", ""))
    if name and name != "utf-8":
        return _decoded(data[len(mark) :], name), name
    # the mark of UTF-8 stays: the page is then the same bytes
    named = [codec for n in (http, _meta(data)) if (codec := _codec(n))]
    wide = [n for n in named[:1] if n.startswith(("utf-16", "utf-32"))] if b"\0" in data[:_HEAD] else []
    if (not wide and b"\x1b$" not in data) or name:
        if _is_utf8(data):
            return data, "utf-8"
        if name:
            return _decoded(data, name), name
    for name in wide or [n for n in named if not n.startswith(("utf-16", "utf-32"))]:
        try:
            return data.decode(name).encode("utf-8", "replace"), name
        except UnicodeDecodeError:
            continue
    text = data.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    beyond_ascii = len(text) - len(data.translate(None, _BEYOND_ASCII))
    if beyond_ascii > 3 * broken:
        return text.encode(), "utf-8"  # a few broken bytes in a page that is otherwise UTF-8
    name = named[0] if named and named[0] != "utf-8" else _look(data)
    return _decoded(data, name), name


def utf8_array(texts: list[bytes]) -> pa.Array:
    """Bytes that `as_utf8` gave, as a column of texts without a copy through Python strings."""
    return pa.array(texts, pa.binary()).view(pa.string())


def _is_utf8(data: bytes) -> bool:
    """Whether bytes are valid UTF-8. Arrow tells so five times faster than a decoder does, which makes a string."""
    offsets = pa.py_buffer(np.array([0, len(data)], np.int64))
    try:
        pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, pa.py_buffer(data)]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _decoded(data: bytes, name: str) -> bytes:
    return data.decode(name, "replace").encode("utf-8", "replace")


def _meta(data: bytes) -> str:
    found = _META.search(data, 0, _HEAD)
    return (found[1] or found[2]).decode() if found else ""


def _codec(name: str) -> str:
    """The codec of Python that browsers mean by a name, or an empty string."""
    name = name.strip().strip("\"'").lower()
    name = _AS_BROWSERS.get(name, name)
    try:
        found = codecs.lookup(name).name if name else ""
    except (LookupError, ValueError):
        return ""
    return "" if found.replace("-", "_") in _NO_TEXT else found


def _look(data: bytes) -> str:
    try:
        from resiliparse.parse.encoding import detect_encoding
    except ImportError as error:
        raise MissingDependencyError(
            "a page names no encoding and is not UTF-8: to tell it by its look, the package resiliparse is needed. "
            "To go on: pip install 'corpusmill[web]'."
        ) from error
    return _codec(detect_encoding(data) or "") or "cp1252"
