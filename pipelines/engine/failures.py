"""The first error of a run, as it was raised: runners wrap and rename what passes through them."""

from __future__ import annotations

from corpusmill.pipelines.dataset.system_errors import explain
from corpusmill.pipelines.engine.job import Job
from corpusmill.transforms import errors
from corpusmill.transforms.errors import CorpusmillError
from corpusmill.transforms.secrets import mask

_failures: dict[str, Exception] = {}


def remember_failure(job: Job, error: Exception) -> None:
    """Keep an error, if it is the first: in this process whole; for the process that waits for the run, by name and
    message."""
    error = explain(error, job.dataset)
    _failures.setdefault(job.dataset, error)
    if isinstance(error, CorpusmillError):
        job.store.note_failure(type(error).__name__, mask(str(error)))


def take_failure(job: Job) -> Exception | None:
    """The first error of a run, once."""
    noted = job.store.take_failure()
    found = _failures.pop(job.dataset, None)
    if found is None and noted is not None:
        kind = getattr(errors, noted[0], CorpusmillError)
        found = kind.__new__(kind)
        Exception.__init__(found, noted[1])
    return found
