"""Does a task: it reads, works, writes its files, and stores its outcome last.

All effects happen in `execute`, which may run any number of times, in any process, with the same result: a task that was
done before is not done again, and nobody reads what a task that died half way has left.
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
"""What does a task of each kind."""
KEPT_LISTS = 8
"""Task lists that a process keeps in memory."""

_begun: set[str] = set()
"""Stages of which this process has done a task: the first one also loads compiled code and tables."""
_lists: dict[tuple[str, str], tuple[TaskList, np.ndarray | None]] = {}
_turns: weakref.WeakValueDictionary[tuple[str, str], threading.Lock] = weakref.WeakValueDictionary()
"""One lock for each task that a thread of this process works on."""
_lock = threading.Lock()


def execute(job: Job, stage: int, task_list: str, index: int) -> None:
    """Do one task, unless it is done. Waits where another thread of this process works on the same one.

    task_list: digest of the stored list; index: of the task in it.
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
    with cache_in(os.path.join(job.store.root, REQUESTS)):  # made when a step asks a model
        outcome = KINDS[task.stage.kind](task)
    if "cpu_seconds" not in outcome:  # else another request had this result
        outcome["cpu_seconds"] = time.thread_time() - begin
        label = task.stage.label(job)
        outcome["first"] = label not in _begun
        _begun.add(label)
        if outcome["content"] != task.request:  # found by requests that come to the same content
            job.store.finish(outcome["content"], outcome)
    job.store.finish(task.request, outcome)


def _load(job: Job, task_list: str) -> tuple[TaskList, np.ndarray | None]:
    """A task list with the names of its shards, read once a process: every task of the stage needs it."""
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
