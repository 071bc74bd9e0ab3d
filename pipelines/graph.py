"""The Beam graph: one linear pipeline, stage behind stage, whose elements are the names of units.

    Create -> units of stage 0 -> Reshuffle -> execute -> barrier -> units of stage 1 -> Reshuffle -> execute -> ...

Documents and keys never travel through Beam: a unit reads and writes files, and its element is a few dozen bytes. The
barrier is a GroupByKey over those elements; behind it, the units of the next stage are worked out from the stored outcomes.
There is one output, no tag, no side input and no effect outside `process`, which is the shape that every runner executes
alike. A stage of which nothing is pending sends one empty name, so that the chain goes on.

`RunStages` is the whole chain, for runners that take a graph at its word; `RunStage` is one stage whose units the caller has
worked out, for those that do not (`pipelines.engines.dask` says why). With `publish`, the chain ends in the commit: where the
process that submits a job does not wait for it, the job itself makes the snapshot.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import apache_beam as beam

from pipelines.carry import Carried
from pipelines.job import Job
from pipelines.reach import Expected
from pipelines.work import execute
from transforms import errors
from transforms.errors import CorpusmillError


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

    def process(self, element: object) -> Iterator[str]:
        try:
            ready = self._job.refresh(self._stage)
        except Exception as error:
            remember_failure(self._job, error)
            raise
        reused = len(ready.requests) - len(ready.pending)
        self._job.store.announce({"stage": self._stage, "plan": ready.plan, "reused": reused})
        yield from unit_names(ready.plan, ready.pending or [-1])


class _Execute(_OnWorkers):
    """Runs the unit of a name."""

    def __init__(self, job: Job, stage: int, expected: Expected | None = None) -> None:
        super().__init__(job, expected)
        self._stage = stage

    def process(self, name: str) -> Iterator[tuple[int, int]]:
        plan, index = json.loads(name)
        if index >= 0:
            try:
                execute(self._job, self._stage, plan, index)
            except Exception as error:
                remember_failure(self._job, error)
                raise
        yield 0, index


class _Publish(_OnWorkers):
    """Commits the job, or finds that it is committed: any number of times, with one snapshot."""

    def process(self, element: object) -> Iterator[int]:
        from pipelines.detached import commit_once

        try:
            yield commit_once(self._job)["number"]
        except Exception as error:
            remember_failure(self._job, error)
            raise


class RunStages(beam.PTransform):
    """All stages of a job, from a collection of one element to a collection of one element.

    expected: what every worker process must find before its first unit; publish: commit behind the last stage.
    """

    def __init__(self, job: Job, expected: Expected | None = None, publish: bool = False) -> None:
        super().__init__()
        self._job, self._expected, self._publish = job, expected, publish

    def expand(self, start: beam.PCollection) -> beam.PCollection:
        """Append every stage to the graph."""
        job, expected = self._job, self._expected
        last: beam.PCollection = start
        for number, stage in enumerate(job.stages):
            label = f"{number:02d} {stage.label(job)}"
            last = (
                last
                | f"{label} | units" >> beam.ParDo(_Units(job, number, expected)).with_output_types(str)
                | f"{label} | spread" >> beam.Reshuffle()
                | f"{label} | execute" >> beam.ParDo(_Execute(job, number, expected)).with_output_types(tuple[int, int])
                | f"{label} | barrier" >> beam.GroupByKey()
                | f"{label} | done" >> beam.Map(_first).with_output_types(int)
            )
        if self._publish:
            last = last | "commit" >> beam.ParDo(_Publish(job, expected)).with_output_types(int)
        return last


class RunStage(beam.PTransform):
    """One stage, from a collection of the names of its units (`unit_names`)."""

    def __init__(self, job: Job, stage: int, expected: Expected | None = None) -> None:
        super().__init__()
        self._job, self._stage, self._expected = job, stage, expected

    def expand(self, names: beam.PCollection) -> beam.PCollection:
        """Execute each unit."""
        execute = _Execute(self._job, self._stage, self._expected)
        return names | "execute" >> beam.ParDo(execute).with_output_types(tuple[int, int])


def unit_names(plan: str, pending: list[int]) -> list[str]:
    """The elements that stand for units of a stage."""
    return [json.dumps([plan, index]) for index in pending]


def _first(element: tuple[int, Iterable[int]]) -> int:
    return element[0]


_failures: dict[str, Exception] = {}


def remember_failure(job: Job, error: Exception) -> None:
    """Keep the first error as it was raised: runners wrap and rename what passes through them. In this process it is kept
    whole; for the process that waits for the run, by its name and message."""
    _failures.setdefault(job.dataset, error)
    if isinstance(error, CorpusmillError):
        job.store.note_failure(type(error).__name__, str(error))


def take_failure(job: Job) -> Exception | None:
    """The first error of a run, once."""
    noted = job.store.take_failure()
    found = _failures.pop(job.dataset, None)
    if found is None and noted is not None:
        kind = getattr(errors, noted[0], CorpusmillError)
        found = kind.__new__(kind)
        Exception.__init__(found, noted[1])
    return found
