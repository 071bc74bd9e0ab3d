"""Runs a job on an engine with Beam options, and turns the engine's faults into errors.

    local      threads of this process, or with `-- --direct_running_mode=multi_processing` processes of this machine
    dask       a Dask cluster: `-- --dask_client_address=tcp://host:8786`, or worker processes started for the run
    portable   any job service that speaks Beam's portability API (Flink, Spark, Prism): `-- --job_endpoint=host:8099`
    dataflow   Google Cloud Dataflow: `-- --project=P --region=R --temp_location=gs://B/tmp`

An engine is a class with `check`, which refuses unsuitable jobs before anything runs, and `run`. Tasks and their files
decide the result, so every engine gives the same bytes.
"""

from __future__ import annotations

import abc
import importlib
import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from corpusmill.pipelines.dataset.system_errors import explain
from corpusmill.pipelines.engine.failures import take_failure
from corpusmill.pipelines.engine.job import Job
from corpusmill.transforms.errors import CorpusmillError, MissingDependencyError, RecipeError

if TYPE_CHECKING:
    pass

ENGINES = {
    "local": "corpusmill.pipelines.runners.local:Local",
    "dask": "corpusmill.pipelines.runners.dask:Dask",
    "portable": "corpusmill.pipelines.runners.portable:Portable",
    "dataflow": "corpusmill.pipelines.runners.dataflow:Dataflow",
}
RUNNERS = tuple(ENGINES)


class Engine(abc.ABC):
    """Runs the stages of a job. workers: from the command line, or None. options: Beam's options, after `--`."""

    name: ClassVar[str]

    def __init__(self, workers: int | None, options: Sequence[str]) -> None:
        self.workers, self.flags = workers, list(options)

    @abc.abstractmethod
    def check(self, job: Job) -> None:
        """Raise CorpusmillError if this engine cannot run the job correctly. Runs nothing."""

    @abc.abstractmethod
    def run(self, job: Job) -> None:
        """Run all stages to the end. Raises the error of a task unchanged."""

    def option(self, name: str) -> str | None:
        """The value of a Beam option. The last one counts if it is repeated."""
        found = [f.split("=", 1)[1] for f in self.flags if f.startswith(f"--{name}=")]
        pairs = zip(self.flags, self.flags[1:], strict=False)
        found += [b for a, b in pairs if a == f"--{name}" and not b.startswith("--")]
        return found[-1] if found else None


def check_name(name: str) -> None:
    """Raise RecipeError if there is no engine of this name."""
    if name not in ENGINES:
        raise RecipeError(f"--runner {name}: unknown. Runners: {', '.join(RUNNERS)}.")


def engine_of(name: str, workers: int | None, options: Sequence[str]) -> Engine:
    """The engine for `--runner NAME`.

    Raises:
        RecipeError: there is no engine of this name.
        MissingDependencyError: what it needs is not installed.
    """
    check_name(name)
    module, _, cls = ENGINES[name].partition(":")
    engine: Engine = getattr(importlib.import_module(module), cls)(workers, options)
    return engine


def run_stages(job: Job, workers: int | None, runner: str, options: Sequence[str]) -> None:
    """Check that the engine can do the job, and run all stages to the end.

    Raises:
        CorpusmillError: the error of a task, unchanged.
    """
    hush()
    engine = engine_of(runner, workers, options)
    engine.check(job)
    take_failure(job)
    try:
        engine.run(job)
    except Exception as error:
        cause = take_failure(job)
        if cause is not None:
            raise cause from None
        explained = explain(error, job.dataset)
        if isinstance(explained, CorpusmillError):
            raise explained from error.__cause__
        raise CorpusmillError(f"{failed(runner, error)} Finished shards are kept: the same command goes on.") from error


def hush() -> None:
    """Hide Beam's log from people who did not ask for it. Problems are reported as errors."""
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    logging.getLogger().addFilter(_not_of_beam)  # the root logger says this when Beam is imported


def _not_of_beam(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("apitools not found")


def failed(runner: str, error: Exception) -> str:
    """An engine's error as a sentence, without the tracebacks that runners add."""
    text = str(error).strip()
    short = text if len(text) < 800 else f"{text[:200]} ... {text[-600:]}"
    return f"the runner {runner} failed: {type(error).__name__}: {short}."


def need(module: str, extra: str, runner: str) -> Any:
    """A module that an engine needs.

    Raises:
        MissingDependencyError: it is not installed; the message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"--runner {runner} needs {module.partition('.')[0]}, which is not here: {error}. "
            f"To go on: pip install 'corpusmill[{extra}]'."
        ) from error


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
