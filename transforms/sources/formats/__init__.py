"""The source formats: one module each, found by its file name. `format: my-format` is the class in `my_format.py` here.

To add a format, add one module (and its test). The module holds one class derived from `Format`
(`corpusmill.transforms.sources.format`) that defines `name` (the file's name with '-' for '_') and `read`, and where they
apply `extensions`, `magic`, `extra`, `ranges`, `schema` and `Options`. Archives derive from `Archive`
(`corpusmill.transforms.sources.archives`) instead. Nothing else has to be edited: the
recipe's `format:`, detection by `auto`, the listing, splitting and reading all take the format from this table.

The table is filled by reading the class attributes out of the files. A module is imported when a file of its format is read.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpusmill.transforms.errors import EngineError

if TYPE_CHECKING:
    from corpusmill.transforms.sources.format import Format

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".xz": "xz"}
SHORT = {".tgz": "gzip", ".tzst": "zstd", ".tbz": "bz2", ".tbz2": "bz2", ".txz": "xz"}
"""Endings that stand for `.tar` and a compression."""
_CLASS = re.compile(r"^class \w+\(\w+\):\n(?:    .*\n|\n)*?(?=    def |    @|\Z)", re.MULTILINE)
_READ_OUT = "name|extensions|patterns|magic|schemes|markers|lists|needs_path|archive|libraries|version"
_ATTRIBUTE = re.compile(
    rf"^    ({_READ_OUT})(?:: [^=\n]+)? = (\((?:[^()]*\)|\n(?:        .*\n)*    \))|\".*\"|True|False|\d+)",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Known:
    """A format as its file describes it; the fields are those of `Format`."""

    name: str
    module: str
    extensions: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    magic: tuple[bytes, ...] = ()
    schemes: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()
    lists: bool = False
    needs_path: bool = True
    archive: bool = False
    libraries: tuple[str, ...] = ()
    version: int = 1


@cache
def known() -> dict[str, Known]:
    """Every format by name, in the order of the names. Imports none of them."""
    formats: dict[str, Known] = {}
    for file in sorted(Path(__file__).parent.glob("[!_]*.py")):
        name = file.stem.replace("_", "-")
        for head in _CLASS.findall(file.read_text(encoding="utf-8")):
            attributes: dict[str, Any] = {m[1]: ast.literal_eval(m[2]) for m in _ATTRIBUTE.finditer(head)}
            if attributes.pop("name", None) == name:
                formats[name] = Known(name, f"{__name__}.{file.stem}", **attributes)
    return formats


def of_files_within(value: str, what: str, fits: Callable[[Known], bool]) -> str:
    """`value`, the format of files that a format holds or fetches, or `auto`. Raises ValueError for one that cannot be `what`."""
    plain = [name for name, each in known().items() if each.needs_path and fits(each)]
    if value != "auto" and value not in plain:
        raise ValueError(f"no {what} can be of format '{value}'; there are auto, {', '.join(plain)}")
    return value


@cache
def libraries(name: str) -> tuple[str, ...]:
    """Packages whose versions decide what files of a format give; of an archive, those of all formats."""
    own = known()[name]
    return tuple(sorted({lib for f in known().values() for lib in f.libraries})) if own.archive else own.libraries


@cache
def load(name: str) -> Format:
    """The format of this name."""
    from corpusmill.transforms.sources.format import Format

    if name not in known():
        raise EngineError(f"no source format is called '{name}'")
    module = importlib.import_module(known()[name].module)
    for _, cls in inspect.getmembers(module, inspect.isclass):
        if cls.__module__ == module.__name__ and issubclass(cls, Format):
            return cls()
    raise EngineError(f"{known()[name].module} holds no class derived from Format")


def inner_options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Of the options of a source, those that decide what its rows hold: of a list of files, format and options of these."""
    return {k: v for k, v in options.items() if k in ("format", "options")} if known()[name].lists else options


def by_extension(path: str) -> str | None:
    """The format that a file's name says, or None. The longest extension wins; that of a compression may follow it.

    >>> by_extension("a.jsonl.gz"), by_extension("a.unknown")
    ('jsonl', None)
    """
    path = path.lower()
    names = {e: f.name for f in known().values() for e in f.extensions}
    plain = re.sub(rf"({'|'.join(map(re.escape, COMPRESSIONS))})\Z", "", path)
    for form in known().values():
        if any(re.search(p, plain) for p in form.patterns):
            return form.name
    endings = [e for p in (path, plain) for e in sorted(names, key=len, reverse=True) if p.endswith(e)]
    return names[endings[0]] if endings else None


def by_content(head: bytes) -> str | None:
    """The format that a file's first bytes say, or None."""
    starts = [(f.name, m) for f in known().values() for m in f.magic]
    return next((name for name, m in starts if head.startswith(m) or head.lstrip().startswith(m)), None)


def by_scheme(path: str) -> str | None:
    """The format that a path's scheme says, such as hf://, or None."""
    return next((f.name for f in known().values() if any(path.startswith(s) for s in f.schemes)), None)
