"""Finds the transform behind a recipe's key, importing only that one.

A key is the name of a module in one of the folders of `transforms/` with '-' for '_' (`gopher-quality` is the class of
that `name` in transforms/filters/gopher_quality.py), with a version if the recipe pins one (`gopher-quality@1`); or the
import path of a user's own class (`my_filters:TooShouty`) or function of one text (`my_filters:no_ads`). Names are listed
by reading files, not by importing them.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import re
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from corpusmill import transforms
from corpusmill.pipelines.recipe import user_modules
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.settings.spelling import nearest

if TYPE_CHECKING:
    from corpusmill.transforms.base import Transform

NOT_TRANSFORMS = {"sources"}  # folders whose modules read documents; a recipe names those under `sources:`
_IMPORT_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*\Z")
_NAME = re.compile(r"""^    name\b[^=\n]*=\s*["']([^"'\n]*)["']""", re.MULTILINE)
"""The class variable `name` in the source of a transform."""


@cache
def names() -> dict[str, str]:
    """Every key that a recipe may name -> its module, in the order of the names. Imports nothing.

    A module counts if it holds a class with `name = "<key>"` where the key is the module's own name.
    """
    modules: dict[str, str] = {}
    for root in transforms.__path__:
        for folder, folders, files in os.walk(root):
            inside = os.path.relpath(folder, root).split(os.sep)
            if inside == ["."]:
                folders[:] = sorted(n for n in folders if n not in NOT_TRANSFORMS)
                continue
            for file in sorted(f for f in files if f.endswith(".py") and not f.startswith("_")):
                key = file[:-3].replace("_", "-")
                with open(os.path.join(folder, file), encoding="utf-8") as source:
                    if key not in _NAME.findall(source.read()):
                        continue
                module = ".".join((transforms.__name__, *inside, file[:-3]))
                if key in modules:
                    raise RecipeError(
                        f"two modules define the transform `{key}`: {modules[key]} and {module}; rename one"
                    )
                modules[key] = module
    return dict(sorted(modules.items()))


def load(key: str, folder: Path | None = None) -> type[Transform]:
    """The transform class of a recipe's key.

    folder: the recipe's own, where modules of an import path are looked for last, behind everything installed.
    """
    name, at, version = key.partition("@")
    cls = _by_import_path(name, folder) if ":" in name else _by_name(name)
    if at and not re.fullmatch(r"[1-9]\d{0,5}", version):
        raise RecipeError(f"`{key}`: a version is a whole number from 1, as in `{name}@{cls.version}`")
    if at and int(version) != cls.version:
        raise RecipeError(
            f"`{key}` does not exist here: this corpusmill has version {cls.version}; write `{name}@{cls.version}`"
        )
    return cls


def built_in(key: str) -> type[Transform] | None:
    """The transform of corpusmill that is called `key`; None for any other. Imports no code of the user's."""
    return _by_name(key) if key in names() else None


def usable() -> dict[str, type[Transform]]:
    """Every transform that a recipe can run, by name. Imports them all: for schemas and help, not for runs."""
    steps = {}
    for name in names():
        with contextlib.suppress(RecipeError):  # a transform of another stage, such as one that makes training rows
            steps[name] = load(name)
    return steps


def _by_name(name: str) -> type[Transform]:
    known = names()
    if name not in known:
        advice = nearest(name, list(known)) or f"there are: {', '.join(known)}"
        raise RecipeError(f"no transform is called `{name}`; {advice}")
    module = importlib.import_module(known[name])
    for _, cls in inspect.getmembers(module, inspect.isclass):
        if cls.__module__ == module.__name__ and getattr(cls, "name", None) == name:
            return _checked(cls, name)
    raise RecipeError(f"{known[name]} holds no class whose name is `{name}`")


def _by_import_path(path: str, folder: Path | None) -> type[Transform]:
    if not _IMPORT_PATH.match(path):
        raise RecipeError(f"`{path}` is no import path; write `package.module:Class`")
    module_name, _, name = path.partition(":")
    module = import_module(module_name, folder)
    target = getattr(module, name, None)
    if target is None:
        known = [n for n, c in vars(module).items() if getattr(c, "__module__", "") == module.__name__]
        raise RecipeError(f"`{module_name}` has no class or function `{name}`; {nearest(name, known)}".rstrip("; "))
    if inspect.isfunction(target):
        from corpusmill.transforms.user_functions import step_for

        return _by_name(step_for(target, path))
    return _checked(target, path)


def import_module(name: str, folder: Path | None) -> ModuleType:
    """A module of the user's own, from beside the recipe or installed; anew if its file was edited since it was imported.

    Raises:
        RecipeError: it cannot be imported, or must not be (`user_modules.refused`).
    """
    if user_modules.are_refused():
        raise RecipeError(
            f"the recipe runs the module `{name}`, which --no-user-code refuses; read the module, then leave the option out"
        )
    try:
        if folder is None:
            return importlib.import_module(name)
        with user_modules.of(str(folder.resolve())):
            user_modules.forget_edited(str(folder.resolve()))
            return importlib.import_module(name)
    except Exception as error:
        advice = "; is it installed, or beside the recipe?" if isinstance(error, ModuleNotFoundError) else ""
        raise RecipeError(f"importing `{name}` failed: {type(error).__name__}: {error}{advice}") from error


def _checked(cls: object, key: str) -> type[Transform]:
    """`cls`, if the engine can use it."""
    from corpusmill.transforms.base import KINDS, Transform

    if not isinstance(cls, type) or not issubclass(cls, Transform) or not issubclass(cls, KINDS):
        raise RecipeError(
            f"`{key}` is no transform: derive it from Map, Filter, Expand or Group of corpusmill.transforms.base"
        )
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    if missing:
        raise RecipeError(f"`{key}` lacks the method `{missing[0]}`, which every {cls.__mro__[1].__name__} must have")
    if not cls.__module__.startswith("corpusmill."):
        from corpusmill.transforms.contract import signature_problem

        if problem := signature_problem(cls):
            raise RecipeError(problem)
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", getattr(cls, "name", "")):
        raise RecipeError(f'`{key}` needs a `name` of lower-case words with hyphens, as in `name = "my-filter"`')
    return cls
