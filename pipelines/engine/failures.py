"""Keeps the first error of a run as it was raised, because runners wrap and rename exceptions."""

from __future__ import annotations

from corpusmill.pipelines.dataset.system_errors import explain
from corpusmill.pipelines.engine.job import Job
from corpusmill.transforms import errors
from corpusmill.transforms.errors import CorpusmillError
from corpusmill.transforms.secrets import mask

_failures: dict[str, Exception] = {}


def remember_failure(job: Job, error: Exception) -> None:
    """Keep an error if it is the first: whole in this process, by name and message for the process that waits for the
    run."""
    error = explain(error, job.dataset)
    _failures.setdefault(job.dataset, error)
    if isinstance(error, CorpusmillError):
        job.store.note_failure(type(error).__name__, mask(str(error)))


def take_failure(job: Job) -> Exception | None:
    """Return and forget the first error of a run."""
    noted = job.store.take_failure()
    found = _failures.pop(job.dataset, None)
    if found is None and noted is not None:
        kind = getattr(errors, noted[0], CorpusmillError)
        found = kind.__new__(kind)
        Exception.__init__(found, noted[1])
    return found
