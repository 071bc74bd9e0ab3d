"""E-mail addresses: RFC 5322 and 5321 (the common part of the grammar), and RFC 6531 for letters beyond ASCII."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

from corpusmill.transforms.redact.rules import Candidate, Value

# letters of one local part come from one group of scripts: text of another script may touch an address
_MARKS = "\u0300-\u036f"
_LATIN = f"A-Za-z\u00aa\u00b5\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff{_MARKS}"
_GREEK_CYRILLIC = f"\u0370-\u052f\u1f00-\u1fff{_MARKS}"
_OTHERS = "\u0531-\u0587\u05d0-\u05ea\u0620-\u06d3\u0900-\u0dff\u0e01-\u0e4e\u10a0-\u10ff"
_CJK = "\u3005\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3"
_SYMBOLS = "!#$&*?^_~.%+-"


def _local(letters: str) -> str:
    inside = rf"(?:[{letters}0-9{_SYMBOLS}]|'(?=[{letters}0-9]))"
    return rf"(?<![{letters}0-9_])[{letters}0-9_]{inside}{{0,63}}"


def _label(letters: str) -> str:
    return rf"[{letters}0-9](?:[{letters}0-9-]{{0,61}}[{letters}0-9])?\."


def _last(letters: str) -> str:
    return rf"[{letters}][{letters}0-9-]{{0,61}}"


_ADDRESS = re.compile(
    "(?P<local>"
    + "|".join(map(_local, (_LATIN, _GREEK_CYRILLIC, _OTHERS, _CJK)))
    + ")@(?P<domain>(?:"
    + "|".join(map(_label, (_LATIN, _GREEK_CYRILLIC, _OTHERS, _CJK)))
    + "){1,8}(?:"
    + "|".join(map(_last, (_LATIN, _GREEK_CYRILLIC, _OTHERS, _CJK)))
    + "))"
)

FILE_TYPES = frozenset(
    "ai app bar bz cab cc cfg com do fm gz in java la lib map md mk ml mo mov pl ps py rs sh so tf vi zip".split()
)
"""Top-level domains that are also endings of file names."""
_VERSION_LABEL = re.compile(r"v?\d[\d.x-]*|latest|main|master|next|beta|alpha|rc\d*|stable|head|dev|prod|staging")
_FILE_STEM = re.compile(
    r"readme|changelog|license|notice|contributing|index|setup|config|settings|script|backup|archive|logo|icon|image|img"
    r"|screenshot|banner|test_\w+|\w+_test"
)
_METHOD = frozenset("to at id is it in name data map cat dot".split())
_PROGRAMS = frozenset(("git", "hg", "svn", "ssh", "gitlab"))


@functools.cache
def _suffixes() -> Any:
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList(only_icann=True)


def rules_of_suffixes() -> list[str]:
    """The rules of the public suffix list."""
    from importlib.resources import files

    text = files("publicsuffixlist").joinpath("public_suffix_list.dat").read_text(encoding="utf-8")
    return [line.split()[0] for line in text.splitlines() if line.strip() and not line.startswith("//")]


@functools.lru_cache(maxsize=4096)
def is_top_level(label: str) -> bool:
    """Whether a label, in Unicode or in ASCII form, is a top-level domain of the public suffix list."""
    return _suffixes().publicsuffix(label.lower(), accept_unknown=False) is not None


def _known_domain(domain: str) -> str:
    """The longest beginning of `domain` that ends in a top-level domain, or "": a sentence may follow without a blank."""
    labels = domain.rstrip("-").split(".")
    while len(labels) > 1 and not is_top_level(labels[-1]):
        labels.pop()
    return ".".join(labels) if len(labels) > 1 else ""


def _is_file_or_code(local: str, domain: str, before: str, after: str) -> bool:
    """Whether `local@domain` is a versioned file name, a repository or an expression of code."""
    labels = domain.lower().split(".")
    if local.lower() in _PROGRAMS and after.startswith(":"):
        return True
    if re.fullmatch(r"\d+x|v?\d[\d.]*", labels[0]) and len(labels) == 2:
        return True
    if labels[-1] in FILE_TYPES and (
        _VERSION_LABEL.fullmatch(labels[0]) or _FILE_STEM.fullmatch(local.lower()) or before.endswith("/")
    ):
        return True
    return after.startswith("(") and labels[-1] in _METHOD


def mail(candidate: Candidate) -> Iterator[Value]:
    """The addresses of a stretch around an at sign. Canonical form: lower case."""
    behind = candidate.text[candidate.stop :].decode("utf-8", "replace")[:1]
    for start, stop, value in _addresses(candidate.text[candidate.start : candidate.stop], behind):
        yield Value(candidate.start + start, candidate.start + stop, "email", value)


@functools.lru_cache(maxsize=1 << 14)
def _addresses(raw: bytes, behind: str) -> tuple[tuple[int, int, str], ...]:
    """(first byte, byte behind, canonical form) of the addresses of a stretch; `behind`: the character behind it."""
    found = []
    text = raw.decode("utf-8", "replace")
    for match in _ADDRESS.finditer(text):
        local, domain = match["local"], _known_domain(match["domain"])
        if not domain or ".." in local or local.endswith("."):
            continue
        stop = match.end("local") + 1 + len(domain)
        after = text[stop:] or behind
        if re.match(r"[A-Za-z0-9_]", after) or _is_file_or_code(local, domain, text[: match.start()], after):
            continue
        begin = len(text[: match.start()].encode())
        value = text[match.start() : stop]
        found.append((begin, begin + len(value.encode()), value.lower()))
    return tuple(found)
