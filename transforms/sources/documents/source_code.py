"""What a source file's name and text tell of it."""

from __future__ import annotations

import fnmatch
import functools
import json
import re
from dataclasses import dataclass
from typing import Any

from corpusmill.transforms.errors import MissingDependencyError
from corpusmill.transforms.rights.recognise import joined, licences

_LICENCE_FILE = re.compile(r"(?:^|/)(?:un)?(?:licen[cs]e|copying|notice)(?:[.-][^/]*)?\Z", re.IGNORECASE)
_SHEBANG = re.compile(r"#!\s*\S*?(?:/env\s+(?:-\S+\s+)*)?([A-Za-z]+)[\d.]*(?:\s|\Z)")
_SAYS_SO = re.compile(
    r"@generated\b|\bcode generated\b|\bgenerated (?:automatically )?(?:by|from|with|using)\b|\bauto(?:matically)?[- ]?generated\b"
    r"|\bdo not (?:edit|modify)\b|\bthis file (?:is|was) generated\b",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"\s*(?:#|//|/\*|\*|--|;|%|<!--|\"\"\"|'''|\(\*|!|rem\b|dnl\b)", re.IGNORECASE)
_GENERATED_NAMES = re.compile(
    r"(?:\.min\.(?:js|css)|_pb2(?:_grpc)?\.pyi?|\.pb\.(?:go|cc|h)|\.designer\.cs|\.g\.dart|\.map|-lock\.(?:json|yaml)|"
    r"(?:^|/)(?:yarn|poetry|cargo|composer|gemfile|pipfile|uv|pdm|flake)\.lock|(?:^|/)go\.sum)\Z",
    re.IGNORECASE,
)
_VENDORED = frozenset(
    "vendor vendors vendored node_modules bower_components third_party third-party thirdparty 3rdparty extern external externals"
    " godeps _vendor site-packages jspm_packages".split()
)
_INTERPRETERS = {
    "node": "javascript",
    "nodejs": "javascript",
    "deno": "typescript",
    "rscript": "r",
    "pwsh": "powershell",
}
_HEAD = 8000
_LINE = 1000
"""Mean length of a line, in characters, above which a script or stylesheet is taken for minified."""


BINARY, EMPTY, NOT_NOTEBOOK = "binary file", "empty file", "not-notebook"


@dataclass(frozen=True)
class SourceFile:
    """A file of source. raw: its bytes, without a byte order mark, of a notebook those of its cells; text: the same decoded."""

    raw: bytes
    text: str
    language: str | None
    licence: str | None
    generated: bool
    vendored: bool


def source_file(name: str, data: bytes) -> SourceFile | str:
    """A file by its name and content; why it is none: BINARY, EMPTY or NOT_NOTEBOOK.

    Raises:
        MissingDependencyError: Pygments is not installed.
    """
    if b"\0" in data[:8192]:
        return BINARY
    raw = data.removeprefix(b"\xef\xbb\xbf")
    text = raw.decode("utf-8", "replace")
    language = language_of(name, text)
    if name.lower().endswith(".ipynb"):
        cells = notebook(text)
        if cells is None:
            return NOT_NOTEBOOK
        text, language = cells, "Jupyter Notebook"
        raw = text.encode("utf-8", "replace")
    if not text.strip():
        return EMPTY
    return SourceFile(raw, text, language, licence_of(name, text), is_generated(name, text), is_vendored(name))


def is_licence_file(name: str) -> bool:
    """Whether a file is called LICENSE, COPYING or the like."""
    return bool(_LICENCE_FILE.search(name))


def language_of(name: str, text: str) -> str | None:
    """The language that Pygments knows by a file's name and text, or by the interpreter of its first line; None if there is none.

    Raises:
        MissingDependencyError: Pygments is not installed.
    """
    try:
        from pygments.lexers import find_lexer_class_for_filename, get_lexer_by_name
        from pygments.util import ClassNotFound
    except ImportError:
        raise MissingDependencyError(
            "format: code needs the package Pygments. Install it with: pip install 'corpusmill[documents]'."
        ) from None
    base = name.rpartition("/")[2]
    endings, others = _endings()
    ending = base.lstrip(".").rpartition(".")[2] if "." in base.lstrip(".") else ""
    if ending in endings and not others.match(base):
        return endings[ending]
    shebang = _SHEBANG.match(text)
    if shebang and "." not in base.lstrip("."):
        try:
            return str(get_lexer_by_name(_INTERPRETERS.get(shebang[1].lower(), shebang[1].lower())).name)
        except ClassNotFound:
            return None
    found = find_lexer_class_for_filename(base, text[:_HEAD])
    return None if found is None else str(found.name)


@functools.cache
def _endings() -> tuple[dict[str, str], re.Pattern[str]]:
    """(language by file name extension, where it is the only one; what all other patterns of file names match).

    Pygments itself compares a name with each of its thousand patterns, in two milliseconds.
    """
    from pygments.lexers import get_all_lexers

    names: dict[str, set[str]] = {}
    others = []
    for name, _, patterns, _ in get_all_lexers():
        for pattern in patterns:
            if re.fullmatch(r"\*\.[\w+-]+", pattern):
                names.setdefault(pattern[2:], set()).add(str(name))
            else:
                others.append(fnmatch.translate(pattern))
    return {ending: min(few) for ending, few in names.items() if len(few) == 1}, re.compile("|".join(others))


def licence_of(name: str, text: str) -> str | None:
    """The SPDX expression of what a file states, or None."""
    found = licences(text if is_licence_file(name) else text[:_HEAD])
    tags = [f for f in found if f.source == "tag"] or found
    return joined(f.licence for f in tags) or None


def is_generated(name: str, text: str) -> bool:
    """Whether a program wrote the file."""
    if _GENERATED_NAMES.search(name):
        return True
    head = text[:3000].split("\n", 30)[:30]
    if any(_COMMENT.match(line) and _SAYS_SO.search(line) for line in head):
        return True
    minified = name.lower().endswith((".js", ".css", ".mjs")) and len(text) > 10 * _LINE
    return minified and len(text) / (text.count("\n") + 1) > _LINE


def is_vendored(name: str) -> bool:
    """Whether a folder on the way to the file holds what others wrote."""
    return not _VENDORED.isdisjoint(part.lower() for part in name.split("/")[:-1])


def notebook(text: str) -> str | None:
    """The cells of a notebook (nbformat 3 and 4), those of code between fences with their language; None if it is none."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    cells: Any = data.get("cells")
    if cells is None and isinstance(data.get("worksheets"), list):
        cells = [c for sheet in data["worksheets"] if isinstance(sheet, dict) for c in _listed(sheet.get("cells"))]
    if not isinstance(cells, list):
        return None
    language = (
        _at(data, "metadata", "language_info", "name") or _at(data, "metadata", "kernelspec", "language") or "python"
    )
    out = []
    for cell in cells:
        if not isinstance(cell, dict):
            continue
        source = cell.get("source", cell.get("input", ""))
        body = "".join(map(str, source)) if isinstance(source, list) else str(source)
        if not body.strip():
            continue
        if cell.get("cell_type") == "code":
            fence = "```"
            while fence in body:
                fence += "`"
            body = f"{fence}{language}\n{body.rstrip(chr(10))}\n{fence}"
        out.append(body.rstrip("\n"))
    return "\n\n".join(out)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _at(value: Any, *keys: str) -> str:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""
