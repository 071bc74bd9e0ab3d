"""The Beam graph: one linear pipeline, stage behind stage, whose elements are the names of units.

    Create -> units of stage 0 -> Reshuffle -> execute -> barrier -> units of stage 1 -> Reshuffle -> execute -> ...

Documents and keys never travel through Beam: a unit reads and writes files, and its element is a few dozen bytes. The
barrier is a GroupByKey over those elements; behind it, the units of the next stage are worked out from the stored outcomes.
There is one output, no tag, no side input and no effect outside `process`, which is the shape that every runner executes
alike. A stage of which nothing is pending sends one empty name, so that the chain goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import apache_beam as beam

from pipelines.job import Job
from pipelines.work import execute
from transforms import errors
from transforms.errors import CorpusmillError


class _Units(beam.DoFn):
    """From the barrier of one stage to the names of the next stage's units."""

    def __init__(self, job: Job, stage: int) -> None:
        self._job, self._stage = job, stage

    def process(self, element: object) -> Iterator[str]:
        try:
            ready = self._job.refresh(self._stage)
        except Exception as error:
            remember_failure(self._job, error)
            raise
        reused = len(ready.requests) - len(ready.pending)
        self._job.store.announce({"stage": self._stage, "plan": ready.plan, "reused": reused})
        for index in ready.pending or [-1]:
            yield json.dumps([ready.plan, index])


class _Execute(beam.DoFn):
    """Runs the unit of a name."""

    def __init__(self, job: Job, stage: int) -> None:
        self._job, self._stage = job, stage

    def process(self, name: str) -> Iterator[tuple[int, int]]:
        plan, index = json.loads(name)
        if index >= 0:
            try:
                execute(self._job, self._stage, plan, index)
            except Exception as error:
                remember_failure(self._job, error)
                raise
        yield 0, index


class RunStages(beam.PTransform):
    """All stages of a job, from a collection of one element to a collection of one element."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job

    def expand(self, start: beam.PCollection) -> beam.PCollection:
        """Append every stage to the graph."""
        last: beam.PCollection = start
        for number, stage in enumerate(self._job.stages):
            label = f"{number:02d} {stage.label(self._job)}"
            last = (
                last
                | f"{label} | units" >> beam.ParDo(_Units(self._job, number)).with_output_types(str)
                | f"{label} | spread" >> beam.Reshuffle()
                | f"{label} | execute" >> beam.ParDo(_Execute(self._job, number)).with_output_types(tuple[int, int])
                | f"{label} | barrier" >> beam.GroupByKey()
                | f"{label} | done" >> beam.Map(_first).with_output_types(int)
            )
        return last


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
