"""How a job travels to where it runs: as bytes, beside its recipe's folder and what the modules there are.

A transform of the user's own lies in a module of that folder, which a worker must be able to import before it can unpack the
job. A worker may live long (Dask): a module of that name that it imported for another recipe, or before the user's last edit,
is another module, and is imported anew. The bytes are made by the process that submits and go to its own workers; nothing is
unpacked that was read from a disk.

What arrives in a process that has the job is that job, with all that was worked out for it: the process that sent it, when
the workers are its threads, and any other where a part of the graph got it before.
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
            for name in self.job.recipe.own_modules:  # those of functions, which a job names and does not hold
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
    """Import anew, from the folder, what was imported from elsewhere or is of other bytes."""
    if all(user_modules.known(name)[1] == digest for name, digest in modules.items() if name in sys.modules):
        return
    # all of them: one that was not changed holds what it took from one that was
    for name in modules:
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    before = sys.path
    sys.path = [folder, *before]  # not the list that other threads may be going through
    try:
        for name in modules:
            importlib.import_module(name)
    finally:
        sys.path = before


def _verify(folder: str, modules: dict[str, str]) -> None:
    """Note what was imported, before somebody edits it.

    Raises:
        EngineError: it is not what the job was made with.
    """
    for name in sorted(modules.keys() & sys.modules.keys()):
        file, digest = user_modules.known(name)
        if digest != modules[name]:
            raise EngineError(
                f"the module `{name}` is another one here ({file}) than where the job was made. Nothing ran here. Let workers "
                f"see the same {folder}, and run the same command again."
            )
