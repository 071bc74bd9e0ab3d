"""Modules of the user's own beside a recipe. Two recipes may have modules of the same name, each in its own folder.

Python keeps one module per name. While a folder's modules are imported, packed or unpacked, they are in `sys.modules`, and
modules of the same names from other recipes' folders are put aside. Afterwards the folder that was asked for last keeps its
module. A step that imports at work, in a process with two such folders, must therefore not import a name that both have.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import sys
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import Any

_lock = threading.RLock()
_refused: ContextVar[bool] = ContextVar("corpusmill_user_code_refused", default=False)
_folders: dict[str, dict[str, ModuleType]] = {}
"""Folder that this module put on Python's path -> its modules that are put aside for those of another folder."""
_read: dict[tuple[str, str], tuple[Any, str]] = {}
"""(name, file) of a module -> the specification it was imported by, and the digest of its file at that time, where known."""


@contextlib.contextmanager
def refused() -> Iterator[None]:
    """In this context, no module that a recipe names is imported; a mistake says so. Meant for recipes of strangers."""
    token = _refused.set(True)
    try:
        yield
    finally:
        _refused.reset(token)


def are_refused() -> bool:
    """Whether modules that a recipe names must not be imported."""
    return _refused.get()


@contextlib.contextmanager
def of(folder: str) -> Iterator[None]:
    """In this context, this folder's modules win over those of other recipes' folders. Installed modules win over all."""
    with _lock:
        installed = [p for p in sys.path if p not in _folders]
        if folder not in installed:
            _folders.setdefault(folder, {})
        mine = _folders.get(folder, {})
        others = [f for f in _folders if f != folder]
        importlib.invalidate_caches()
        for other in others:
            for name in imported(other):
                top = name.partition(".")[0]
                if (name in mine or _exists(top, [folder])) and not _exists(top, installed):
                    _folders[other][name] = sys.modules.pop(name)
        for name in [n for n in mine if n not in sys.modules]:
            sys.modules[name] = mine.pop(name)
        # a new list: a thread that goes through the old one at this moment must not miss a folder because its place was changed
        sys.path = [*installed, *([folder] if folder in _folders else []), *others]
        try:
            yield
        finally:
            for name in imported(folder) if folder in _folders else ():
                known(name)
            for other in others:
                for name in [n for n in _folders[other] if n not in sys.modules]:
                    sys.modules[name] = _folders[other].pop(name)


def folders() -> list[str]:
    """The recipes' folders that are on Python's path here."""
    return list(_folders)


def take_over(folders: list[str]) -> None:
    """Mark folders as recipes' folders in a process that inherited the path of another process."""
    with _lock:
        for folder in folders:
            if folder in sys.path:
                _folders.setdefault(folder, {})


def imported(folder: str) -> dict[str, ModuleType]:
    """The imported modules by name that lie in a folder, or in a package of it."""
    modules = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.startswith(folder + os.sep) and name != "__main__":
            deep = name.count(".") + Path(file).name.startswith("__init__.")
            if len(Path(file).parents) > deep and str(Path(file).parents[deep]) == folder:
                modules[name] = module
    return modules


def forget_edited(folder: str) -> None:
    """Let the modules of a folder be imported anew, if one of their files was edited since it was imported."""
    mine = imported(folder)
    if any(_digest(file) != digest for file, digest in map(known, mine)):
        # all of them: one that was not edited holds what it took from one that was
        for name in mine:
            del sys.modules[name]


def known(name: str) -> tuple[str, str]:
    """(file, digest) of an imported module: the digest at its import, or when this process first asked for it."""
    module = sys.modules[name]
    file, spec = str(getattr(module, "__file__", "")), getattr(module, "__spec__", None)
    if (name, file) not in _read or _read[name, file][0] is not spec:
        _read[name, file] = spec, _digest(file)
    return file, _read[name, file][1]


def _digest(file: str) -> str:
    with contextlib.suppress(OSError):
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    return ""


def _exists(top: str, path: list[str]) -> bool:
    """Whether a module of this name would be found on a path, or by a finder that needs none."""
    finders = [find for f in sys.meta_path if (find := getattr(f, "find_spec", None))]
    return any(find(top, path) is not None for find in finders)
