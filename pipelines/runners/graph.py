"""The Beam graph: one linear pipeline, stage behind stage, whose elements are the names of units.

    Create -> units of stage 0 -> GroupByKey -> execute -> GroupByKey -> units of stage 1 -> GroupByKey -> execute -> ...

Documents and keys never travel through Beam: a unit reads and writes files, and its element is a few dozen bytes. The first
GroupByKey of a stage, over the units' names, spreads them over the workers; the second, over one key, is a barrier; behind
it, the units of the next stage are worked out from the stored outcomes. A Reshuffle would do the first as well, with ten
transforms more in the graph, each of which costs time before anything runs.
There is one output, no tag, no side input and no effect outside `process`, which is the shape that every runner executes
alike. A stage of which nothing is pending sends one empty name, so that the chain goes on.

`RunStages` is the whole chain, for runners that take a graph at its word; `RunStage` is one stage whose units the caller has
worked out, for those that do not (`corpusmill.pipelines.runners.dask` says why). With `publish`, the chain ends in the
commit: where the process that submits a job does not wait for it, the job itself makes the snapshot.
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
"""Seconds between two tries of a job's last step to take the lock: ten minutes. Behind them, `corpusmill commit` does it."""


class _OnWorkers(beam.DoFn):
    """A DoFn that carries the job to where it runs."""

    def __init__(self, job: Job, expected: Expected | None = None) -> None:
        self._carried, self._expected = Carried(job), expected

    @property
    def _job(self) -> Job:
        return self._carried.job

    def setup(self) -> None:
        """Refuse to work in a process that sees other files or runs other code than the one that made the job."""
        if self._expected is None:
            return
        try:
            self._expected.verify(self._job)
        except Exception as error:
            remember_failure(self._job, error)
            raise


class _Units(_OnWorkers):
    """From the barrier of one stage to the names of the next stage's units."""

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
    """Runs the unit of a name, which comes as the key of a pair."""

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
    """Commits the job, or finds that it is committed: any number of times, with one snapshot. Under the dataset's lock, for a
    collection would remove what is published and not committed yet; a holder is waited for."""

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
    """All stages of a job, from a collection of one element to a collection of one element, whatever these are.

    expected: what every worker process must find before its first unit; publish: commit behind the last stage; first: the
    stage to begin with, all before it being done.
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
                | f"{label} | units" >> beam.ParDo(_Units(job, number, expected)).with_output_types(tuple[str, int])
                | f"{label} | spread" >> beam.GroupByKey()
                | f"{label} | execute" >> beam.ParDo(_Execute(job, number, expected)).with_output_types(tuple[int, int])
                | f"{label} | barrier" >> beam.GroupByKey()
            )
        if self._publish:
            last = last | "commit" >> beam.ParDo(_Publish(job, expected)).with_output_types(int)
        return last


class RunStage(beam.PTransform):
    """One stage, from a collection of its units (`task_names`)."""

    def __init__(self, job: Job, stage: int, expected: Expected | None = None) -> None:
        super().__init__()
        self._job, self._stage, self._expected = job, stage, expected

    def expand(self, names: beam.PCollection) -> beam.PCollection:
        """Execute each unit."""
        execute = _Execute(self._job, self._stage, self._expected)
        return names | "execute" >> beam.ParDo(execute).with_output_types(tuple[int, int])


def task_names(plan: str, pending: list[int]) -> list[tuple[str, int]]:
    """The elements that stand for units of a stage: its name, and nothing."""
    return [(json.dumps([plan, index]), 0) for index in pending]
