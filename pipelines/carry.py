"""How a job travels to where it runs: as bytes, beside its recipe's folder.

A transform of the user's own lies in a module of that folder, which a worker must be able to import before it can unpack the
job. The bytes are made by the process that submits and go to its own workers; nothing is unpacked that was read from a disk.
"""

from __future__ import annotations

import pickle
import sys
from typing import Any

from pipelines.job import Job


class Carried:
    """A job that can be sent to another process."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def __getstate__(self) -> dict[str, Any]:
        own = any(not type(s.transform).__module__.startswith("transforms.") for s in self.job.recipe.steps)
        folder = str(self.job.recipe.base_dir.resolve()) if own else ""
        return {"folder": folder, "packed": pickle.dumps(self.job)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state["folder"] and state["folder"] not in sys.path:
            sys.path.append(state["folder"])
        self.job = pickle.loads(state["packed"])
