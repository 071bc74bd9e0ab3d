"""Sends a job to its workers: as bytes, with its recipe's folder and digests of the modules in that folder.

A user's own transform is in a module of that folder, and a worker must import it before it can unpickle the job. A
worker may live long (Dask) and may have imported a module of that name for another recipe, or before the user's last
edit. It then imports the module again. The submitting process makes the bytes and sends them to its own workers;
nothing is unpickled from a disk.

A process that has the job already gets the same object, with everything cached in it. This holds for the sending
process if the workers are its threads, and for a worker that received the job before.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import sys
import weakref
from typing import Any

from corpusmill.pipelines.engine.job import Job
from corpusmill.pipelines.recipe import user_modules
from corpusmill.transforms.errors import EngineError

_here: weakref.WeakValueDictionary[str, Job] = weakref.WeakValueDictionary()
"""Jobs that are in use in this process, by their tokens."""


class Carried:
    """A job that can be sent to another process."""

    def __init__(self, job: Job) -> None:
        self.job = job
        _here[job.token] = job

    def __getstate__(self) -> dict[str, Any]:
        own = self.job.recipe.own_modules
        folder = str(self.job.recipe.base_dir.resolve()) if own else ""
        with _among(folder):
            modules = {name: user_modules.known(name)[1] for name in _beside(folder, own)}
            packed = pickle.dumps(self.job)
        state = {"token": self.job.token, "folder": folder, "modules": modules, "packed": packed}
        return state | {"folders": user_modules.folders() if folder else []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        known = _here.get(state["token"])
        if known is not None:
            self.job = known
            return
        user_modules.take_over(state["folders"])
        with _among(state["folder"]):
            _renew(state["folder"], state["modules"])
            self.job = pickle.loads(state["packed"])
            for name in self.job.recipe.own_modules:  # modules of functions, which a job names and does not hold
                importlib.import_module(name)
            _verify(state["folder"], state["modules"])
        self.job.token = state["token"]
        _here[state["token"]] = self.job


def _among(folder: str) -> contextlib.AbstractContextManager[None]:
    return user_modules.of(folder) if folder else contextlib.nullcontext()


def _beside(folder: str, own: set[str]) -> list[str]:
    """Names of the imported modules that lie in a recipe's folder: those of its steps, and what they import from there."""
    if not folder:
        return []
    tops = {name.partition(".")[0] for name in own}
    found = []
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not file or name == "__main__" or not file.startswith(folder + os.sep):
            continue
        if os.path.dirname(file) == folder or name.partition(".")[0] in tops:
            found.append(name)
    return sorted(found)


def _renew(folder: str, modules: dict[str, str]) -> None:
    """Import modules again from the folder if they came from elsewhere or have other bytes."""
    if all(user_modules.known(name)[1] == digest for name, digest in modules.items() if name in sys.modules):
        return
    # all of them: an unchanged module holds objects of a changed one
    for name in modules:
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    before = sys.path
    sys.path = [folder, *before]  # a copy, because other threads may be iterating over it
    try:
        for name in modules:
            importlib.import_module(name)
    finally:
        sys.path = before


def _verify(folder: str, modules: dict[str, str]) -> None:
    """Record what was imported, before somebody edits it.

    Raises:
        EngineError: a module differs from the one that the job was made with.
    """
    for name in sorted(modules.keys() & sys.modules.keys()):
        file, digest = user_modules.known(name)
        if digest != modules[name]:
            raise EngineError(
                f"the module `{name}` is another one here ({file}) than where the job was made. Nothing ran here. Let workers "
                f"see the same {folder}, and run the same command again."
            )
