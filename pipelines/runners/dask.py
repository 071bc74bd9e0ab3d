"""Runs a job on an existing Dask cluster, or on worker processes of this machine.

Beam's Dask runner silently breaks some of Beam's model (2.77). A Reshuffle does nothing, so all tasks computed inside
the graph would stay on one worker. Of several sinks, only the last one runs. The part of the graph of a killed worker
is computed again from the start, and a list of tasks computed inside it may then differ. So the graph never branches,
and each stage is a pipeline of its own: this process computes the tasks, hands them to free workers one by one, and
reads the stored outcomes before the next stage. A task of a killed worker is run again. Dask gives up on a task after
it has killed four workers.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from corpusmill.pipelines.engine.job import Job
from corpusmill.pipelines.runners import hidden_imports
from corpusmill.pipelines.runners.base import Engine, cores, need
from corpusmill.pipelines.runners.beam_options import pipeline_options
from corpusmill.pipelines.runners.job_transport import Carried
from corpusmill.pipelines.runners.worker_checks import (
    Expected,
    Facts,
    check_memory,
    differences,
    expected,
    facts_here,
    forget,
    unseen_from_here,
)
from corpusmill.transforms.errors import CorpusmillError, EngineError, RecipeError

TASKS_PER_THREAD = 64
"""If a stage has more tasks than this per thread of the cluster, several of them are bundled into one Dask task."""
OWN_CLUSTER = {
    # profiling stacks and machine figures serve the dashboard, and there is none
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.tick.interval": "1s",
    "distributed.worker.memory.monitor-interval": "1s",
    # Dask would return each freed megabyte to the system and fetch it again for the next batch; the C library's own
    # limit costs less
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": str(64 << 20),
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": str(32 << 20),
}
"""Dask's settings for worker processes of this machine that are started for one run."""
ROUNDS = 3
"""How often a stage is run again if tasks leave no outcome and no error."""


class Dask(Engine):
    """`--dask_client_address` or `--dask_scheduler_file` name a cluster. Without them, `--workers` processes are
    started."""

    name: ClassVar[str] = "dask"

    def check(self, job: Job) -> None:
        """Check that Dask is installed and that the options are valid. Workers are checked once there is a cluster."""
        with hidden_imports.imports():
            need("distributed", "dask", self.name)
            need("apache_beam.runners.dask.dask_runner", "dask", self.name)
        pipeline_options(self.flags)
        if self.workers and self._existing():
            raise RecipeError("--workers: the existing Dask cluster has the workers it has; leave `--workers` out")
        for flag in ("dask_client_address", "dask_scheduler_file"):
            if self.option(flag) == "":  # probably an unset variable, not a wish for local workers
                raise RecipeError(f"--{flag}: names nothing; give the cluster's, or leave it out to start workers here")
        if file := self.option("dask_scheduler_file"):
            _address_in(file)
        for flag in ("dask_npartitions", "dask_partition_size"):
            if self.option(flag):
                raise RecipeError(f"--{flag}: each stage has its own number of tasks; leave it out")

    def _existing(self) -> bool:
        return bool(self.option("dask_client_address") or self.option("dask_scheduler_file"))

    def run(self, job: Job) -> None:
        """Stage by stage."""
        with self._cluster() as (client, flags):
            wanted = expected(job)
            try:
                threads = check_cluster(client, job, wanted)
                for number in range(len(job.stages)):
                    _run_stage(job, number, flags, threads, wanted)
            finally:
                forget(job, wanted)

    @contextlib.contextmanager
    def _cluster(self) -> Iterator[tuple[Any, list[str]]]:
        """A client of the cluster, and the flags that tell Beam where it is."""
        import distributed

        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        with contextlib.ExitStack() as stack:
            if self._existing():
                flags = self.flags
                address, file = self.option("dask_client_address"), self.option("dask_scheduler_file")
                try:
                    _check_address(address or _address_in(file or ""))
                    client = distributed.Client(address=address, scheduler_file=file, set_as_default=False)
                except (OSError, TimeoutError, ValueError) as error:
                    raise CorpusmillError(
                        f"no Dask scheduler answers at {address or file}: {error}. Nothing ran. "
                        "`dask scheduler` prints its address; firewalls must let it and its workers be reached."
                    ) from error
            else:
                import dask

                stack.enter_context(dask.config.set(OWN_CLUSTER))
                cluster = stack.enter_context(
                    distributed.LocalCluster(
                        n_workers=self.workers or cores(),
                        threads_per_worker=1,
                        processes=True,
                        dashboard_address=None,
                        # the port of the metrics: any free one, so that two runs fit on a machine
                        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                        silence_logs=logging.CRITICAL,
                        preload=["corpusmill.pipelines.runners.dask_worker"] if hidden_imports.allowed() else [],
                    )
                )
                client = distributed.Client(cluster, set_as_default=False)
                flags = [*self.flags, f"--dask_client_address={cluster.scheduler_address}"]
            stack.enter_context(client)
            yield client, flags


def _check_address(address: str) -> None:
    """Raise ValueError for an invalid address. Dask's half-made client would otherwise block the end of the process."""
    from distributed.comm.addressing import get_address_host_port

    if not address.startswith(("inproc://", "ucx://")):  # whose addresses have other parts
        get_address_host_port(address)


def _address_in(file: str) -> str:
    """The address in a scheduler's file. Dask would wait forever for a missing file."""
    advice = f"`dask scheduler --scheduler-file {file}` writes it"
    try:
        address = json.loads(Path(file).read_bytes())["address"]
    except OSError as error:
        raise RecipeError(f"--dask_scheduler_file={file}: cannot be read: {error.strerror}; {advice}") from None
    except (ValueError, KeyError, TypeError):
        address = None
    if not isinstance(address, str):
        raise RecipeError(f"--dask_scheduler_file={file}: names no address of a scheduler; {advice}")
    return address


def check_cluster(client: Any, job: Job, wanted: Expected) -> int:
    """Check every worker of a cluster; returns the number of their threads.

    Raises:
        CorpusmillError: a worker cannot do the job; the message has its address.
    """
    workers = client.scheduler_info(n_workers=-1)["workers"]
    if not workers:
        raise CorpusmillError("the Dask cluster has no workers. Nothing ran. Start some: `dask worker ADDRESS`.")
    try:
        answers: dict[str, tuple[Facts, str]] = client.run(_ask, Carried(job), wanted.mark)
    except Exception as error:
        raise EngineError(
            f"a Dask worker cannot load the job: {type(error).__name__}: {error}. Nothing ran. Install corpusmill and the "
            "recipe's own modules on the workers (the image of docker/ has the former)."
        ) from error
    for address, (facts, unseen) in sorted(answers.items()):
        wrong = differences(wanted.facts, facts)
        if wrong:
            raise EngineError(f"Dask worker {address} runs {'; '.join(wrong)}. Nothing ran. Install the same versions.")
        if unseen:
            raise CorpusmillError(f"Dask worker {address} {unseen} Nothing ran.")
        worker = workers.get(address, {})
        limit = worker.get("memory_limit") or facts.memory
        check_memory(job, min(limit, facts.memory), f"Dask worker {address}", worker.get("nthreads", 1))
    return sum(w["nthreads"] for w in workers.values())


def _ask(carried: Carried, mark: str) -> tuple[Facts, str]:
    return facts_here(), unseen_from_here(carried.job, mark)


def _run_stage(job: Job, number: int, flags: list[str], threads: int, wanted: Expected) -> None:
    ready = job.begin(number)
    for _ in range(ROUNDS):
        if not ready.pending:
            return
        _run_tasks(job, number, flags, threads, wanted)
        ready = job.refresh(number)
    if ready.pending:
        raise EngineError(
            f"{len(ready.pending)} tasks of `{job.stages[number].label(job)}` were run by Dask {ROUNDS} times and left no "
            "outcome. Finished shards are kept; please report this."
        )


def _run_tasks(job: Job, number: int, flags: list[str], threads: int, wanted: Expected) -> None:
    """Run one pipeline over the pending tasks of a stage."""
    import apache_beam as beam
    from apache_beam.runners.dask.dask_runner import DaskRunner
    from distributed.scheduler import KilledWorker

    from corpusmill.pipelines.runners.graph import RunStage, task_names

    ready = job.prepare(number)
    # the scheduler hands out tasks as workers become free, biggest first
    size = -(-len(ready.pending) // (TASKS_PER_THREAD * threads))
    options = pipeline_options([*flags, f"--dask_partition_size={size}"])
    pipeline = beam.Pipeline(runner=DaskRunner(), options=options)
    names = task_names(ready.task_list, ready.pending)
    _ = pipeline | "tasks" >> beam.Create(names, reshuffle=False) | "stage" >> RunStage(job, number, wanted)
    result = pipeline.run()
    try:
        result.wait_until_finish()
    except KilledWorker as error:
        raise CorpusmillError(
            f"a task of `{job.stages[number].label(job)}` ended its worker four times: {error}. Mostly the worker runs out "
            "of memory: give it more, or set a lower output.shard_bytes. Finished shards are kept: the same command goes on."
        ) from error
    finally:
        result.client.close()
