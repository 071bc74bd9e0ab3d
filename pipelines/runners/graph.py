"""The Beam graph: one linear pipeline of stages, whose elements are names of tasks.

    Create -> tasks of stage 0 -> GroupByKey -> execute -> GroupByKey -> tasks of stage 1 -> GroupByKey -> execute ->
    ...

Documents and keys never travel through Beam: a task reads and writes files, and its element is a few dozen bytes. The
first GroupByKey of a stage has the tasks' names as keys and spreads them over the workers. The second has a single key
and is a barrier. After it, the tasks of the next stage are computed from the stored outcomes. A Reshuffle could replace
the first, but it adds ten transforms to the graph, and each costs time before anything runs. The graph has one output,
no tags, no side inputs and no effects outside of `process`. All runners execute this shape alike. A stage without
pending tasks sends one empty name, so that the chain goes on.

`RunStages` is the whole chain, for runners that implement Beam's model. `RunStage` is one stage whose tasks the caller
has computed, for runners that do not (see `corpusmill.pipelines.runners.dask`). With `publish`, the chain ends with the
commit, so that a job makes its snapshot even if the submitting process does not wait.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import apache_beam as beam

from corpusmill.pipelines.engine.failures import remember_failure
from corpusmill.pipelines.engine.job import Job
from corpusmill.pipelines.engine.tasks import execute
from corpusmill.pipelines.runners.job_transport import Carried
from corpusmill.pipelines.runners.worker_checks import Expected
from corpusmill.transforms.errors import LockedError

LOCK_WAITS = (1.0, 2.0, 4.0, 8.0, 15.0, *(30.0,) * 19)
"""Seconds between tries of a job's last step to take the lock, for ten minutes in all. After that, use `corpusmill
commit`."""


class _OnWorkers(beam.DoFn):
    """A DoFn that carries the job to its worker."""

    def __init__(self, job: Job, expected: Expected | None = None) -> None:
        self._carried, self._expected = Carried(job), expected

    @property
    def _job(self) -> Job:
        return self._carried.job

    def setup(self) -> None:
        """Refuse a process that sees other files or runs other code than the submitting process."""
        if self._expected is None:
            return
        try:
            self._expected.verify(self._job)
        except Exception as error:
            remember_failure(self._job, error)
            raise


class _Tasks(_OnWorkers):
    """Makes the names of the next stage's tasks after the barrier of a stage."""

    def __init__(self, job: Job, stage: int, expected: Expected | None = None) -> None:
        super().__init__(job, expected)
        self._stage = stage

    def process(self, element: object) -> Iterator[tuple[str, int]]:
        try:
            ready = self._job.begin(self._stage)
        except Exception as error:
            remember_failure(self._job, error)
            raise
        yield from task_names(ready.task_list, ready.pending or [-1])


class _Execute(_OnWorkers):
    """Runs the task of a name, which is the key of a pair."""

    def __init__(self, job: Job, stage: int, expected: Expected | None = None) -> None:
        super().__init__(job, expected)
        self._stage = stage

    def process(self, element: tuple[str, object]) -> Iterator[tuple[int, int]]:
        plan, index = json.loads(element[0])
        if index >= 0:
            try:
                execute(self._job, self._stage, plan, index)
            except Exception as error:
                remember_failure(self._job, error)
                raise
        yield 0, index


class _Publish(_OnWorkers):
    """Commits the job unless it is committed. Repeats make no second snapshot. It holds the dataset's lock, because
    `gc` would remove files that are published and not committed yet. It waits while another process holds the lock."""

    def process(self, element: object) -> Iterator[int]:
        from corpusmill.pipelines.runners.submit import commit_once

        try:
            for wait in [*LOCK_WAITS, None]:
                try:
                    with self._job.store.lock():
                        number = commit_once(self._job)["number"]
                    break
                except LockedError:
                    if wait is None:
                        raise
                    time.sleep(wait)
            yield number
        except Exception as error:
            remember_failure(self._job, error)
            raise


class RunStages(beam.PTransform):
    """All stages of a job. Input and output are collections of one arbitrary element.

    expected: what every worker process checks before its first task. publish: commit after the last stage. first: the
    stage to begin with; all earlier ones are done.
    """

    def __init__(self, job: Job, expected: Expected | None = None, publish: bool = False, first: int = 0) -> None:
        super().__init__()
        self._job, self._expected, self._publish, self._first = job, expected, publish, first

    def expand(self, start: beam.PCollection) -> beam.PCollection:
        """Append every stage to the graph."""
        job, expected = self._job, self._expected
        last: beam.PCollection = start
        for number, stage in list(enumerate(job.stages))[self._first :]:
            label = f"{number:02d} {stage.label(job)}"
            last = (
                last
                | f"{label} | tasks" >> beam.ParDo(_Tasks(job, number, expected)).with_output_types(tuple[str, int])
                | f"{label} | spread" >> beam.GroupByKey()
                | f"{label} | execute" >> beam.ParDo(_Execute(job, number, expected)).with_output_types(tuple[int, int])
                | f"{label} | barrier" >> beam.GroupByKey()
            )
        if self._publish:
            last = last | "commit" >> beam.ParDo(_Publish(job, expected)).with_output_types(int)
        return last


class RunStage(beam.PTransform):
    """One stage, from a collection of its tasks (`task_names`)."""

    def __init__(self, job: Job, stage: int, expected: Expected | None = None) -> None:
        super().__init__()
        self._job, self._stage, self._expected = job, stage, expected

    def expand(self, names: beam.PCollection) -> beam.PCollection:
        """Execute each task."""
        execute = _Execute(self._job, self._stage, self._expected)
        return names | "execute" >> beam.ParDo(execute).with_output_types(tuple[int, int])


def task_names(plan: str, pending: list[int]) -> list[tuple[str, int]]:
    """The elements for tasks of a stage: pairs of a name and nothing."""
    return [(json.dumps([plan, index]), 0) for index in pending]
