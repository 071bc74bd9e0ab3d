"""Runs a job in this process, or in worker processes of this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from corpusmill.pipelines.engine.failures import remember_failure
from corpusmill.pipelines.engine.job import Job
from corpusmill.pipelines.engine.tasks import execute
from corpusmill.pipelines.runners import hidden_imports
from corpusmill.pipelines.runners.base import Engine, cores
from corpusmill.pipelines.runners.beam_options import pipeline_options
from corpusmill.pipelines.runners.head_start import HeadStart
from corpusmill.transforms.errors import CorpusmillError
from corpusmill.transforms.startup import plain

if TYPE_CHECKING:
    import apache_beam as beam

SMALL = 100_000_000
"""Largest input in bytes of a stage that runs without a Beam graph. Loading Beam and building a graph takes a CPU
second, more than a tenth of the time of a stage of this size."""


_SAMPLING_MS = 10
"""Milliseconds between two samples; Beam's default is 200."""


class Local(Engine):
    """FnApiRunner with worker threads in this process. Kernels and Arrow release the GIL; no process is started and no
    port is opened. (`DirectRunner` would first look for a Prism binary on the network.)

    The graph begins at the first stage with more input than `SMALL`. Earlier stages run the same tasks without a graph,
    and so does all of a small refresh. Beam is not loaded then."""

    name = "local"

    def check(self, job: Job) -> None:
        """Refuse options that Beam does not know."""
        if self.flags:
            pipeline_options(self._flags)

    @property
    def _flags(self) -> list[str]:
        return [f"--direct_num_workers={self.workers or cores()}", "--direct_running_mode=in_memory", *self.flags]

    def run(self, job: Job) -> None:
        """Run small stages directly, and one graph of the first large stage and all later ones.

        Raises:
            CorpusmillError: a worker process died; the message names it and the stage.
        """
        whole = bool(self.flags) or plain("graph")
        first = 0 if whole else self._small_stages(job)
        if first == len(job.stages):
            return
        with contextlib.nullcontext() if whole else HeadStart(job, first, (self.workers or cores()) - 1):
            with hidden_imports.imports():
                import apache_beam as beam

                from corpusmill.pipelines.runners.graph import RunStages

            # half of Beam's start-up; `run_graph` would import it while no task runs
            import apache_beam.runners.portability.fn_api_runner

            stages = RunStages(job, first=first)
        self.run_graph(lambda pipeline: pipeline | "start" >> beam.Create([0]) | "stages" >> stages, job)

    def _small_stages(self, job: Job) -> int:
        """Run stages as long as they are small; returns the number of the first large one."""
        hidden_imports.begin()
        with ThreadPoolExecutor(self.workers or cores()) as threads:
            for number in range(len(job.stages)):
                ready = job.begin(number)
                if ready.todo > SMALL:
                    return number
                tasks = [threads.submit(execute, job, number, ready.task_list, i) for i in ready.pending]
                try:
                    for task in tasks:
                        task.result()
                except BaseException as error:
                    for task in tasks:  # on Ctrl-C, too, no further task begins
                        task.cancel()
                    if isinstance(error, Exception):
                        remember_failure(job, error)
                    raise
        return len(job.stages)

    def run_graph(self, build: Callable[[beam.Pipeline], Any], job: Job | None = None) -> None:
        """Run the graph that `build` adds to an empty pipeline. job: for messages that name the stage.

        Raises:
            CorpusmillError: a worker process died; the message names it and what it was doing.
        """
        import apache_beam as beam
        from apache_beam.options.pipeline_options import DirectOptions
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner, worker_handlers
        from apache_beam.runners.worker import statesampler

        # no timer: Beam's timer flushes and clears a buffer while another thread writes to it, and elements are lost
        worker_handlers.DATA_BUFFER_TIME_LIMIT_MS = 0
        if not plain("sampling"):
            # the sampler of a bundle's states sleeps this long, and the end of a bundle waits for it
            statesampler.StateSampler.__init__.__defaults__ = (_SAMPLING_MS,)
        options = pipeline_options(self._flags)
        with contextlib.ExitStack() as stack:
            crew = None
            if options.view_as(DirectOptions).direct_running_mode == "multi_processing":
                from corpusmill.pipelines.runners.processes import Crew

                crew = stack.enter_context(Crew())
                options.view_as(DirectOptions).direct_running_mode = "in_memory"  # Beam would start its own
            pipeline = beam.Pipeline(runner=FnApiRunner(crew and crew.environment), options=options)
            # not in a `with` block: an error in the run must not hide an error in the graph
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
    """The stage that runs now, for the beginning of a message."""
    note = job.store.announced() if job else None
    return f"`{job.stages[note['stage']].label(job)}`: " if job and note else ""
