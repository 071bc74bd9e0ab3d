"""Hides packages that Arrow and Beam import and a run does not need, while these two are imported.

Arrow imports pandas for the first scalar that it makes, and Beam imports the clients of stores and databases: half a CPU
second, a third of a nightly refresh. Both handle an ImportError. Code that needs one of the packages later imports it then.

This happens only in a process of the command line whose recipe runs no code but ours: other code may rely on Arrow to
recognise a Series. `CORPUSMILL_PLAIN=imports` turns it off (`corpusmill.transforms.startup`).
"""

from __future__ import annotations

import contextlib
import importlib.abc
import re
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from corpusmill.pipelines.recipe.model import Recipe
from corpusmill.transforms.startup import plain

HIDDEN = ("pandas", "pymongo", "bson", "boto3", "google.cloud")
_FOREIGN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*\Z|hf://")
_allowed = False


def allow(recipe: Recipe) -> None:
    """Let `imports` hide from now on, if the recipe runs no code but ours. Call it only in a process that runs nothing
    else."""
    global _allowed
    ours = recipe.train is None and not recipe.own_modules and not plain("imports")
    _allowed = ours and not any(_FOREIGN.match(s) for s in _strings(recipe.canonical()))


def allowed() -> bool:
    """Whether `imports` hides."""
    return _allowed


def take_over() -> None:
    """As `allow`, in a worker process of a process that was allowed to."""
    global _allowed
    _allowed = True


@contextlib.contextmanager
def imports() -> Iterator[None]:
    """In this block, imports by this thread do not find packages of `HIDDEN` that are not loaded yet. Other threads
    find them."""
    if not _allowed:
        yield
        return
    finder = _Hidden()
    # new lists, because another thread may be iterating over the old one
    sys.meta_path = [finder, *sys.meta_path]
    try:
        yield
    finally:
        sys.meta_path = [f for f in sys.meta_path if f is not finder]


def begin() -> None:
    """Make Arrow's first scalar, which imports pandas."""
    import pyarrow as pa

    with imports():
        pa.scalar(0)


class _Hidden(importlib.abc.MetaPathFinder):
    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> None:
        """Raise ModuleNotFoundError for hidden packages."""
        # the namespace google.cloud may exist before anything of it is imported
        hidden = name in HIDDEN or name.startswith("google.cloud.")
        if hidden and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from (key, *_strings(inner))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)
