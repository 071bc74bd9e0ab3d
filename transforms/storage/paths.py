"""How files are named: paths of this machine, URIs of stores, and patterns."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from corpusmill.transforms import secrets
from corpusmill.transforms.errors import RecipeError

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+)://")
_MAGIC = re.compile(r"[*?\[{]")


class Entry(NamedTuple):
    """A file of a listing: where, its bytes, a stamp that changes when the content may have, and when it was written, in
    seconds by its own store's clock."""

    uri: str
    size: int
    stamp: str
    modified: float = 0.0


def scheme_of(uri: str) -> str:
    """`s3` of `s3://bucket/key`; empty for a path of this machine.

    Raises:
        RecipeError: the URI carries a password: it would stand in recipes, manifests and logs.
    """
    m = _SCHEME.match(uri)
    if m is None or m[1] == "file":
        return ""
    if secrets.has_secret(uri):
        raise RecipeError(f"{secrets.shown(uri)}: {secrets.ADVICE}")
    return m[1]


def is_local(uri: str) -> bool:
    """Whether `uri` is a path of this machine."""
    m = _SCHEME.match(uri)
    return m is None or m[1] == "file"


def local_path(uri: str) -> str:
    """The path behind a local uri."""
    return uri[7:] if uri.startswith("file://") else uri


def has_magic(uri: str) -> bool:
    """Whether `uri` is a pattern rather than a name."""
    return _MAGIC.search(uri) is not None


def join(uri: str, *parts: str) -> str:
    """`uri` with `parts` below it; a part that is absolute or has a scheme of its own replaces what is before it."""
    for part in parts:
        if _SCHEME.match(part) or (is_local(uri) and os.path.isabs(part)):
            uri = part
        elif is_local(uri):
            uri = os.path.normpath(os.path.join(local_path(uri), part))
        else:
            uri = uri.rstrip("/") + "/" + part.strip("/")
    return uri


def absolute(uri: str) -> str:
    """The one name of a file or folder: absolute, without links; a URI without a slash at its end."""
    return os.path.realpath(local_path(uri)) if is_local(uri) else uri.rstrip("/")


def bucket_and_key(uri: str) -> tuple[str, str]:
    """`("bucket", "a/b")` of `s3://bucket/a/b`."""
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key


def translate(pattern: str) -> re.Pattern[str]:
    """A regular expression for a pattern relative to its root: `*`, `?`, `[ab]`, `{a,b}`, and `**` for any depth."""
    out, i, braces = "", 0, 0
    while i < len(pattern):
        c = pattern[i]
        if pattern.startswith("**/", i):
            out, i = out + "(?:[^/]+/)*", i + 3
            continue
        if pattern.startswith("**", i):
            out, i = out + ".*", i + 2
            continue
        close = pattern.find("]", i + (3 if pattern[i + 1 : i + 2] in ("!", "^") else 2)) if c == "[" else -1
        if c == "*":
            out += "[^/]*"
        elif c == "?":
            out += "[^/]"
        elif close > 0:
            inner = re.sub(r"([\\\[&~|])", r"\\\1", pattern[i + 1 : close])  # characters that only re knows
            out += "[" + ("^" + inner[1:] if inner[0] in "!^" else inner) + "]"
            i = close
        elif c == "{":
            out, braces = out + "(?:", braces + 1
        elif c == "}" and braces:
            out, braces = out + ")", braces - 1
        elif c == "," and braces:
            out += "|"
        else:
            out += re.escape(c)
        i += 1
    if braces:
        raise RecipeError(
            f"the pattern '{pattern}' has a brace {{ that is not closed; close it, or write [{{] for the character"
        )
    try:
        return re.compile(out + r"\Z", re.DOTALL)
    except re.error as error:
        raise RecipeError(f"the pattern '{pattern}' is wrong: {error.msg}; write [[] for the character [") from None


def glob_root(pattern: str) -> str:
    """The longest folder of `pattern` without wildcards (for a plain name: the folder it is in). On a disk, a folder whose own
    name has such characters, as in `corpus [2]`, is that folder."""
    parts = pattern.split("/")
    for i, part in enumerate(parts):
        if has_magic(part) and not (is_local(pattern) and os.path.isdir("/".join(parts[: i + 1]))):
            return "/".join(parts[:i]) or ("/" if pattern.startswith("/") else ".")
    return "/".join(parts[:-1]) or ("/" if pattern.startswith("/") else ".")
