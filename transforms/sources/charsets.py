"""Bytes of web pages as text: by a byte order mark, as UTF-8 where they are that, by HTTP, by `meta`, and else by their look.

Servers and pages name encodings that they do not use. Bytes that are valid UTF-8 are UTF-8, whatever they say; a named encoding
counts if all bytes are valid in it. Names mean what browsers mean by them (WHATWG Encoding): iso-8859-1 is cp1252.
"""

from __future__ import annotations

import codecs
import re

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


def decode(data: bytes, http: str = "") -> tuple[str, str]:
    """The text of a page, and the name of the encoding by which it was read.

    Args:
        http: the charset of the HTTP header, if there is one.

    Raises:
        MissingDependencyError: the encoding must be told by its look, and resiliparse is not installed.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            # the mark of UTF-8 stays: the page is then the same bytes
            begin = 0 if name == "utf-8" else len(mark)
            return data[begin:].decode(name, "replace"), name
    named = [codec for name in (http, _meta(data)) if (codec := _codec(name))]
    wide = [n for n in named[:1] if n.startswith(("utf-16", "utf-32"))] if b"\0" in data[:_HEAD] else []
    if not wide and b"\x1b$" not in data:
        try:
            return data.decode(), "utf-8"
        except UnicodeDecodeError:
            pass
    for name in wide or [n for n in named if not n.startswith(("utf-16", "utf-32"))]:
        try:
            return data.decode(name), name
        except UnicodeDecodeError:
            continue
    text = data.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    beyond_ascii = len(text) - len(data.translate(None, _BEYOND_ASCII))
    if beyond_ascii > 3 * broken:
        return text, "utf-8"  # a few broken bytes in a page that is otherwise UTF-8
    name = named[0] if named and named[0] != "utf-8" else _look(data)
    return data.decode(name, "replace"), name


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
