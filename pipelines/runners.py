"""How a job's graph is run: which Beam runner, with which options, and how its faults are told.

`local` names FnApiRunner with worker threads in this process: kernels and Arrow release the GIL, nothing is started, no
port is opened. (`DirectRunner` would first look for a Prism binary on the network.) For work that holds the GIL,
`-- --direct_running_mode=multi_processing` starts worker processes.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

from pipelines.job import Job
from transforms.errors import CorpusmillError, RecipeError

RUNNERS = ("local",)


def run_stages(job: Job, workers: int, runner: str, options: Sequence[str]) -> None:
    """Run all stages of a job to the end.

    Raises:
        CorpusmillError: what a unit raised, as it raised it.
    """
    if runner not in RUNNERS:
        raise RecipeError(f"--runner {runner}: unknown. Runners: {', '.join(RUNNERS)}.")
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner, worker_handlers

    from pipelines.graph import RunStages, take_failure

    # a second thread flushes and clears the buffer while the first writes to it; without the timer nothing is lost
    worker_handlers.DATA_BUFFER_TIME_LIMIT_MS = 0
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    flags = [f"--direct_num_workers={workers}", "--direct_running_mode=in_memory", *options]
    _check_options(flags)
    take_failure(job)
    pipeline = beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions(flags))
    # built outside a `with` block: an error in the graph must not be covered by one in the run
    _ = pipeline | "start" >> beam.Create([0]) | "stages" >> RunStages(job)
    try:
        pipeline.run().wait_until_finish()
    except Exception as error:
        cause = take_failure(job)
        if cause is not None:
            raise cause from None
        raise CorpusmillError(
            f"the runner failed: {error}. Finished shards are kept: the same command goes on."
        ) from error


def _check_options(flags: Sequence[str]) -> None:
    """Refuse options that Beam would silently ignore."""
    from apache_beam.options.pipeline_options import PipelineOptions

    known = PipelineOptions(list(flags)).get_all_options(drop_default=False, retain_unknown_options=False)
    unknown = [f for f in flags if f.startswith("--") and f[2:].split("=")[0].replace("-", "_") not in known]
    if unknown:
        raise RecipeError(f"unknown Beam option{'s' if len(unknown) > 1 else ''} behind `--`: {' '.join(unknown)}")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
