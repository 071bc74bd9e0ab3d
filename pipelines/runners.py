"""How a job's graph is run: on which engine, with which Beam options, and how its faults are told.

    local      threads of this process, or with `-- --direct_running_mode=multi_processing` processes of this machine
    dask       a Dask cluster: `-- --dask_client_address=tcp://host:8786`, or worker processes started for the run
    portable   any job service that speaks Beam's portability API (Flink, Spark, Prism): `-- --job_endpoint=host:8099`
    dataflow   Google Cloud Dataflow: `-- --project=P --region=R --temp_location=gs://B/tmp`

An engine is a class with `check`, which refuses before anything runs what it would do wrong, and `run`. What decides the
result lies in the units and their files, so every engine gives the same bytes.
"""

from __future__ import annotations

import abc
import contextlib
import importlib
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar

from pipelines import lean
from pipelines.disk import explain
from pipelines.failures import remember_failure, take_failure
from pipelines.head_start import HeadStart
from pipelines.job import Job
from pipelines.work import execute
from transforms.errors import CorpusmillError, MissingDependencyError, RecipeError

if TYPE_CHECKING:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

ENGINES = {
    "local": "pipelines.runners:Local",
    "dask": "pipelines.engines.dask:Dask",
    "portable": "pipelines.engines.portable:Portable",
    "dataflow": "pipelines.engines.dataflow:Dataflow",
}
RUNNERS = tuple(ENGINES)


class Engine(abc.ABC):
    """Runs the stages of a job. workers: as asked on the command line, or None; options: Beam's, behind `--`."""

    name: ClassVar[str]

    def __init__(self, workers: int | None, options: Sequence[str]) -> None:
        self.workers, self.flags = workers, list(options)

    @abc.abstractmethod
    def check(self, job: Job) -> None:
        """Raises CorpusmillError if this engine cannot run the job, or not rightly. Runs nothing."""

    @abc.abstractmethod
    def run(self, job: Job) -> None:
        """Run all stages to the end. Raises what a unit raised, as it raised it."""

    def option(self, name: str) -> str | None:
        """The value of a Beam option as given, the last one if it is repeated."""
        found = [f.split("=", 1)[1] for f in self.flags if f.startswith(f"--{name}=")]
        pairs = zip(self.flags, self.flags[1:], strict=False)
        found += [b for a, b in pairs if a == f"--{name}" and not b.startswith("--")]
        return found[-1] if found else None


def check_name(name: str) -> None:
    """Raises RecipeError if no engine is called so."""
    if name not in ENGINES:
        raise RecipeError(f"--runner {name}: unknown. Runners: {', '.join(RUNNERS)}.")


def engine_of(name: str, workers: int | None, options: Sequence[str]) -> Engine:
    """The engine behind `--runner`.

    Raises:
        RecipeError: there is none of this name.
        MissingDependencyError: what it needs is not installed.
    """
    check_name(name)
    module, _, cls = ENGINES[name].partition(":")
    engine: Engine = getattr(importlib.import_module(module), cls)(workers, options)
    return engine


def run_stages(job: Job, workers: int | None, runner: str, options: Sequence[str]) -> None:
    """Check that the runner can do the job, and run all stages to the end.

    Raises:
        CorpusmillError: what a unit raised, as it raised it.
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
        told = explain(error, job.dataset)
        if isinstance(told, CorpusmillError):
            raise told from error.__cause__
        raise CorpusmillError(f"{failed(runner, error)} Finished shards are kept: the same command goes on.") from error


def hush() -> None:
    """Keep Beam's log from people who did not ask for it: what it has to say comes as errors."""
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    logging.getLogger().addFilter(_not_of_beam)  # said by the root logger when Beam is imported


def _not_of_beam(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("apitools not found")


def failed(runner: str, error: Exception) -> str:
    """What an engine raised, in a sentence, without the traces that runners paste into it."""
    text = str(error).strip()
    short = text if len(text) < 800 else f"{text[:200]} ... {text[-600:]}"
    return f"the runner {runner} failed: {type(error).__name__}: {short}."


SMALL = 100_000_000
"""Bytes of input, or of documents staged, up to which a stage is not worth a graph: loading Beam and making one takes a CPU
second, more than a tenth of what a worker takes for so much."""
_SAMPLING_MS = 10


class Local(Engine):
    """FnApiRunner with worker threads in this process: kernels and Arrow release the GIL, nothing is started, no port is
    opened. (`DirectRunner` would first look for a Prism binary on the network.)

    The graph begins at the first stage that has more to do than `SMALL`: what comes before it, and all of a refresh that
    brings a few documents, is done without one, by the same units. Beam is not even loaded then."""

    name = "local"

    def check(self, job: Job) -> None:
        """Options that Beam does not know are refused; one machine sees its own files."""
        if self.flags:
            pipeline_options(self._flags)

    @property
    def _flags(self) -> list[str]:
        return [f"--direct_num_workers={self.workers or cores()}", "--direct_running_mode=in_memory", *self.flags]

    def run(self, job: Job) -> None:
        """One graph of all stages that have much to do, and those behind them.

        Raises:
            CorpusmillError: a worker process died; the message names it and the stage.
        """
        first = 0 if self.flags else self._small_stages(job)
        if first == len(job.stages):
            return
        with contextlib.nullcontext() if self.flags else HeadStart(job, first, (self.workers or cores()) - 1):
            with lean.imports():
                import apache_beam as beam

                from pipelines.graph import RunStages

            # half of Beam's start-up, which `run_graph` would come to when nobody works beside it
            import apache_beam.runners.portability.fn_api_runner

            stages = RunStages(job, first=first)
        self.run_graph(lambda pipeline: pipeline | "start" >> beam.Create([0]) | "stages" >> stages, job)

    def _small_stages(self, job: Job) -> int:
        """Do stages as long as they are small; the number of the first that is not."""
        lean.begin()
        with ThreadPoolExecutor(self.workers or cores()) as threads:
            for number in range(len(job.stages)):
                ready = job.begin(number)
                if ready.todo > SMALL:
                    return number
                units = [threads.submit(execute, job, number, ready.plan, i) for i in ready.pending]
                try:
                    for unit in units:
                        unit.result()
                except BaseException as error:
                    for unit in units:  # Ctrl-C, too: what has not begun does not begin
                        unit.cancel()
                    if isinstance(error, Exception):
                        remember_failure(job, error)
                    raise
        return len(job.stages)

    def run_graph(self, build: Callable[[beam.Pipeline], Any], job: Job | None = None) -> None:
        """Run the graph that `build` makes of an empty pipeline. job: what it does, for a message that names the stage.

        Raises:
            CorpusmillError: a worker process died; the message names it and what it was doing.
        """
        import apache_beam as beam
        from apache_beam.options.pipeline_options import DirectOptions
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner, worker_handlers
        from apache_beam.runners.worker import statesampler

        # a second thread flushes and clears the buffer while the first writes to it; without the timer nothing is lost
        worker_handlers.DATA_BUFFER_TIME_LIMIT_MS = 0
        # who samples a bundle's states for metrics sleeps for so many milliseconds, and the bundle's end waits for it
        statesampler.StateSampler.__init__.__defaults__ = (_SAMPLING_MS,)
        options = pipeline_options(self._flags)
        with contextlib.ExitStack() as stack:
            crew = None
            if options.view_as(DirectOptions).direct_running_mode == "multi_processing":
                from pipelines.engines.processes import Crew

                crew = stack.enter_context(Crew())
                options.view_as(DirectOptions).direct_running_mode = "in_memory"  # else Beam would take its own workers
            pipeline = beam.Pipeline(runner=FnApiRunner(crew and crew.environment), options=options)
            # built outside a `with` block: an error in the graph must not be covered by one in the run
            build(pipeline)
            try:
                pipeline.run().wait_until_finish()
            except Exception:
                if crew and crew.death:
                    raise CorpusmillError(
                        f"{_where(job)}{crew.death} Finished shards are kept: the same command goes on."
                    ) from None
                raise


def _where(job: Job | None) -> str:
    """The stage that runs now, for the head of a message."""
    note = job.store.announced() if job else None
    return f"`{job.stages[note['stage']].label(job)}`: " if job and note else ""


def pipeline_options(flags: Sequence[str]) -> PipelineOptions:
    """Beam's options from flags.

    Raises:
        RecipeError: a flag that Beam would silently ignore, or a value that it does not take.
    """
    from apache_beam.options.pipeline_options import PipelineOptions

    made = PipelineOptions(list(flags))
    try:
        known = made.get_all_options(drop_default=False, retain_unknown_options=False)
    except SystemExit:  # argparse has said on standard error what is wrong
        raise RecipeError(f"a Beam option behind `--` has a value that it does not take: {' '.join(flags)}") from None
    names = set(known) | _flag_names()
    unknown = [f for f in flags if f.startswith("--") and f[2:].split("=")[0].replace("-", "_") not in names]
    if unknown:
        raise RecipeError(f"unknown Beam option{'s' if len(unknown) > 1 else ''} behind `--`: {' '.join(unknown)}")
    return made


def _flag_names() -> set[str]:
    """Every flag of every options class that is loaded: a flag may set a value of another name (`--labels`)."""
    import argparse

    from apache_beam.options.pipeline_options import PipelineOptions

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, conflict_handler="resolve")
    for cls in PipelineOptions.__subclasses__():
        cls._add_argparse_args(_Values(parser))
    return {s[2:].replace("-", "_") for action in parser._actions for s in action.option_strings if s.startswith("--")}


class _Values:
    """An argument parser whose value-provider arguments are plain ones."""

    def __init__(self, parser: Any) -> None:
        self._parser = parser

    def add_argument(self, *names: str, **fields: Any) -> None:
        self._parser.add_argument(*names, **fields)

    add_value_provider_argument = add_argument

    def add_mutually_exclusive_group(self, **fields: Any) -> _Values:
        return _Values(self._parser.add_mutually_exclusive_group(**fields))


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
