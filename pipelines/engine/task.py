"""One task of a stage: the argument of the functions that do it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.dataset.task_list import TaskList
from corpusmill.pipelines.engine.job import Job
from corpusmill.pipelines.engine.stage import Stage
from corpusmill.transforms.exchange import named, read_decisions

ORDER = "__order"
"""Column of moved rows by which the receiving shard sorts them."""


@dataclass(frozen=True)
class Task:
    """shared: the task list of its stage. names: names of the stage's shards
    (`corpusmill.transforms.exchange.shard_names`), if their tasks get decisions. index: position of the task in the
    list. request: fingerprint that names its outcome."""

    job: Job
    stage: Stage
    shared: TaskList
    names: np.ndarray | None
    index: int
    request: str

    def decisions(self) -> pa.Table:
        """The decisions for the shard of this task, sorted by row."""
        assert self.names is not None, "only stages behind a group have decisions"
        shard = 0 if self.shared.get("common") else self.index
        return named(read_decisions(self.paths(self.shared["told"]), shard), self.names)

    def path(self, relative: str) -> str:
        """Full path of a file of the store."""
        return self.job.store.path(relative)

    def paths(self, relative: list[str]) -> list[str]:
        """`path` of each."""
        return [self.job.store.path(p) for p in relative]
