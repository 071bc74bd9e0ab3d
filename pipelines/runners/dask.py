"""A job on a Dask cluster: an existing scheduler's, or worker processes of this machine.

Beam's Dask runner takes some of Beam's model silently wrong (2.77): a Reshuffle does nothing, so that units worked out inside
the graph would all stay on one worker; of several sinks the last one runs; and a killed worker's part of the graph is made
again from the start, which for units worked out inside it may be another list. So the graph never branches, and each stage
is a pipeline of its own: this process works out the units, deals them one by one to whichever worker is free, and looks at
the stored outcomes before it goes on. A unit that a killed worker left is run again; one that keeps killing its workers is
given up by Dask after four.
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
"""A stage of more units than this for each thread of the cluster is dealt in tasks of several units."""
OWN_CLUSTER = {
    # stacks that are looked at a hundred times a second, and figures kept of the machine: for the dashboard, which there is not
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.tick.interval": "1s",
    "distributed.worker.memory.monitor-interval": "1s",
    # Dask would have each freed megabyte go back to the system and come anew with the next batch; what the C library rises to
    # by itself costs less
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": str(64 << 20),
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": str(32 << 20),
}
"""Dask's settings for worker processes of this machine that are started for one run."""
ROUNDS = 3
"""How often a stage is run that loses units to no error of theirs."""


class Dask(Engine):
    """`--dask_client_address` or `--dask_scheduler_file` name a cluster; without them, `--workers` processes are started."""

    name: ClassVar[str] = "dask"

    def check(self, job: Job) -> None:
        """Dask is installed and the options are its own. What the workers are is asked when there is a cluster."""
        with hidden_imports.imports():
            need("distributed", "dask", self.name)
            need("apache_beam.runners.dask.dask_runner", "dask", self.name)
        pipeline_options(self.flags)
        if self.workers and self._existing():
            raise RecipeError("--workers: the existing Dask cluster has the workers it has; leave `--workers` out")
        for flag in ("dask_client_address", "dask_scheduler_file"):
            if self.option(flag) == "":  # mostly a variable that is not set; not a wish for workers of our own
                raise RecipeError(f"--{flag}: names nothing; give the cluster's, or leave it out to start workers here")
        if file := self.option("dask_scheduler_file"):
            _address_in(file)
        for flag in ("dask_npartitions", "dask_partition_size"):
            if self.option(flag):
                raise RecipeError(f"--{flag}: each stage is cut by its own number of units; leave it out")

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
        """A client of the cluster, and the flags by which Beam finds it."""
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
                        # where metrics would be asked for: any free port, for two runs on a machine
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
    """Raises ValueError for what is no address: Dask's client, half made, would be waited for at the end of the process."""
    from distributed.comm.addressing import get_address_host_port

    if not address.startswith(("inproc://", "ucx://")):  # which have other parts
        get_address_host_port(address)


def _address_in(file: str) -> str:
    """The address in a scheduler's file. Dask would wait for ever for one that is not there."""
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
    """Ask every worker of a cluster what it runs and sees; the number of their threads.

    Raises:
        CorpusmillError: a worker that cannot do the job, by its address.
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
        _run_units(job, number, flags, threads, wanted)
        ready = job.refresh(number)
    if ready.pending:
        raise EngineError(
            f"{len(ready.pending)} units of `{job.stages[number].label(job)}` were run by Dask {ROUNDS} times and left no "
            "outcome. Finished shards are kept; please report this."
        )


def _run_units(job: Job, number: int, flags: list[str], threads: int, wanted: Expected) -> None:
    """One pipeline over the pending units of a stage."""
    import apache_beam as beam
    from apache_beam.runners.dask.dask_runner import DaskRunner
    from distributed.scheduler import KilledWorker

    from corpusmill.pipelines.runners.graph import RunStage, task_names

    ready = job.prepare(number)
    # the scheduler deals tasks as workers become free, biggest units first
    size = -(-len(ready.pending) // (TASKS_PER_THREAD * threads))
    options = pipeline_options([*flags, f"--dask_partition_size={size}"])
    pipeline = beam.Pipeline(runner=DaskRunner(), options=options)
    names = task_names(ready.task_list, ready.pending)
    _ = pipeline | "units" >> beam.Create(names, reshuffle=False) | "stage" >> RunStage(job, number, wanted)
    result = pipeline.run()
    try:
        result.wait_until_finish()
    except KilledWorker as error:
        raise CorpusmillError(
            f"a unit of `{job.stages[number].label(job)}` ended its worker four times: {error}. Mostly the worker runs out "
            "of memory: give it more, or set a lower output.shard_bytes. Finished shards are kept: the same command goes on."
        ) from error
    finally:
        result.client.close()
