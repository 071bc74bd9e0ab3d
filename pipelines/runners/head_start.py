"""Does tasks while Beam is being imported, which takes a second of one core."""

from __future__ import annotations

import threading

from corpusmill.pipelines.engine.failures import remember_failure
from corpusmill.pipelines.engine.job import Job
from corpusmill.pipelines.engine.tasks import execute


class HeadStart:
    """While a block runs, `workers` threads do tasks of a stage, and the graph then finds them done. Tasks that are
    still running when the block ends move to the end of the stage, so that they are done when the graph reaches them.

    Raises:
        Exception: the error of a task, raised when the block ends. No further task is begun.
    """

    def __init__(self, job: Job, stage: int, workers: int) -> None:
        self._job, self._stage, self._ready = job, stage, job.prepare(stage)
        self._waiting = list(self._ready.pending)
        self._at_work: set[int] = set()
        self._error: Exception | None = None
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._work, name="head start") for _ in range(workers)]

    def _next(self) -> int | None:
        with self._lock:
            if self._error or not self._waiting:
                return None
            index = self._waiting.pop(0)
            self._at_work.add(index)
            return index

    def _work(self) -> None:
        while (index := self._next()) is not None:
            try:
                execute(self._job, self._stage, self._ready.task_list, index)
            except Exception as error:
                self._error = self._error or error
            with self._lock:
                self._at_work.discard(index)

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._lock:
            self._waiting = []
            pending, busy = self._ready.pending, self._at_work
            self._ready.pending = [i for i in pending if i not in busy] + [i for i in pending if i in busy]
        if self._error and kind is None:
            for thread in self._threads:
                thread.join()
            remember_failure(self._job, self._error)
            raise self._error
