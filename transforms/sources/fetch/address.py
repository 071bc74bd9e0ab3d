"""Addresses to fetch: read from a list, checked, and brought into the form in which they are requested."""

from __future__ import annotations

import urllib.parse

from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.sources.items import read_items

_SAFE = "/:@!$&'()*+,;=-._~%"


def read_addresses(path: str) -> list[str]:
    """The addresses of a list, each once, in order: lines of a text file (`#` begins a comment line), else the column `url`.

    Raises:
        BadFileError: the list cannot be read, or holds something that is no address.
    """
    items = read_items(path)
    column = "url" if "url" in items.table.column_names else "text"
    if column not in items.table.column_names:
        has = ", ".join(items.table.column_names) or "none"
        raise BadFileError(path, f"has no column url among {has}", "name the column of addresses `url`")
    found: dict[str, None] = {}
    for value, position in zip(items.table.column(column).to_pylist(), items.positions, strict=True):
        text = str(value or "").strip()
        if not text or text.startswith("#"):
            continue
        try:
            found.setdefault(requested(text))
        except ValueError as error:
            what = f"line {position}: {text[:200]!r} {error}"
            raise BadFileError(path, what, "correct or remove the line") from None
    return list(found)


def requested(address: str) -> str:
    """An address as it is requested: host in ASCII and lower case, path escaped, without fragment.

    >>> requested("HTTP://Bücher.example:80/a b?c=é#d")
    'http://xn--bcher-kva.example/a%20b?c=%C3%A9'

    Raises:
        ValueError: why it is not fetched, to follow the address in a sentence.
    """
    if any(ord(c) < 32 or ord(c) == 127 for c in address):
        raise ValueError("has control characters")
    try:
        parts = urllib.parse.urlsplit(address)
        port = parts.port
    except ValueError:
        raise ValueError("is no address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("does not begin with http:// or https:// and a host")
    if "@" in parts.netloc:
        raise ValueError("has a user name or password, which addresses of a recipe must not have")
    host = parts.hostname
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError:
            raise ValueError("has a host name that cannot be one") from None
    elif any(c in " \"'<>\\^`{|}%" for c in host):
        raise ValueError("has a host name that cannot be one")
    host = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}[parts.scheme]
    shown = host if port in (None, default) else f"{host}:{port}"
    path = urllib.parse.quote(parts.path, safe=_SAFE) or "/"
    query = urllib.parse.quote(parts.query, safe=_SAFE + "?")
    return urllib.parse.urlunsplit((parts.scheme, shown, path, query, ""))


def site_of(address: str) -> str:
    """Scheme, host and port: what one robots.txt is for."""
    parts = urllib.parse.urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
