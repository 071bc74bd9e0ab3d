"""Does a task: reads, works, writes files, and stores the outcome last.

`execute` has all effects. It may run any number of times, in any process, with the same result: a finished task is not
done again, and nobody reads the files of a task that died.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable

import numpy as np

from corpusmill.pipelines.dataset.outcome import Outcome
from corpusmill.pipelines.dataset.task_list import TaskList
from corpusmill.pipelines.engine import group_tasks, pass_tasks
from corpusmill.pipelines.engine.job import Job
from corpusmill.pipelines.engine.stage import Kind
from corpusmill.pipelines.engine.task import Task
from corpusmill.transforms.exchange import shard_names
from corpusmill.transforms.generate.cache import REQUESTS
from corpusmill.transforms.generate.model import cache_in
from corpusmill.transforms.sources.splits import put_stamps

KINDS: dict[Kind, Callable[[Task], Outcome]] = {
    "pass": pass_tasks.run_pass,
    "keys": group_tasks.run_keys,
    "decide": group_tasks.run_decide,
    "gather": group_tasks.run_gather,
    "scatter": group_tasks.run_scatter,
    "conform": pass_tasks.run_conform,
}
"""Kind of stage -> the function that does its tasks."""
KEPT_LISTS = 8
"""How many task lists a process keeps in memory."""

_begun: set[str] = set()
"""Stages of which this process has done a task. The first task also loads compiled code and tables."""
_lists: dict[tuple[str, str], tuple[TaskList, np.ndarray | None]] = {}
_turns: weakref.WeakValueDictionary[tuple[str, str], threading.Lock] = weakref.WeakValueDictionary()
"""One lock for each task that this process is doing."""
_lock = threading.Lock()


def execute(job: Job, stage: int, task_list: str, index: int) -> None:
    """Do one task unless it is done. Waits if another thread of this process does the same one.

    task_list: digest of the stored list. index: position of the task in it.
    """
    shared, names = _load(job, task_list)
    request = shared["requests"][index]
    with _lock:
        turn = _turns.setdefault((job.dataset, request), threading.Lock())
    with turn:
        if job.store.outcome(request) is None:
            _execute(Task(job, job.stages[stage], shared, names, index, request))


def _execute(task: Task) -> None:
    job = task.job
    begin = time.thread_time()
    with cache_in(os.path.join(job.store.root, REQUESTS)):  # a step made it when it asked a model
        outcome = KINDS[task.stage.kind](task)
    if "cpu_seconds" not in outcome:  # otherwise another request gave this result
        outcome["cpu_seconds"] = time.thread_time() - begin
        label = task.stage.label(job)
        outcome["first"] = label not in _begun
        _begun.add(label)
        if outcome["content"] != task.request:  # requests that lead to the same content find it
            job.store.finish(outcome["content"], outcome)
    job.store.finish(task.request, outcome)


def _load(job: Job, task_list: str) -> tuple[TaskList, np.ndarray | None]:
    """A task list with the names of its shards. A process reads it once, because every task of the stage needs it."""
    with _lock:
        key = (job.dataset, task_list)
        if key not in _lists:
            if len(_lists) >= KEPT_LISTS:
                _lists.clear()
            shared = job.store.load_task_list(task_list)
            if "units" in shared:
                put_stamps(shared["units"], job.store.listing())
            asked = "told" in shared and "shards" in shared
            _lists[key] = (shared, shard_names([s["content"] for s in shared["shards"]]) if asked else None)
        return _lists[key]
