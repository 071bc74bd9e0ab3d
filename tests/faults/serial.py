"""The units of a job one after the other in this thread, without Beam: what a test runs a thousand times, or kills in a child.

Everything but the engine is the product's own code; that engines give the same bytes is another test's promise
(`tests/pipelines/runners/test_base.py`).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from corpusmill.pipelines.engine.job import Job
from corpusmill.pipelines.engine.tasks import execute
from corpusmill.pipelines.runners import base
from corpusmill.pipelines.runners.base import Engine
from corpusmill.transforms.errors import CorpusmillError

LONG = os.environ.get("FAULTS") == "long"
"""Whether this is the long campaign of `make faults`."""


class Serial(Engine):
    """Stage by stage, unit by unit."""

    name = "local"

    def check(self, job: Job) -> None:
        """It can run every job."""

    def run(self, job: Job) -> None:
        """Run all pending units."""
        for stage in range(len(job.stages)):
            ready = job.refresh(stage)
            for index in ready.pending:
                execute(job, stage, ready.task_list, index)


class Alone(Serial):
    """An engine that goes on alone, and does so at once, under the name `--job_name` or none: up to the commit, which is left
    to whoever asks for it."""

    def submit(self, job: Job) -> str:
        """Run all units; the job's name."""
        self.run(job)
        return self.option("job_name") or ""


class Forking(Serial):
    """Every stage by two worker processes, of which each does every other unit; one that dies fails the run."""

    def run(self, job: Job) -> None:
        """Run all pending units."""
        for stage in range(len(job.stages)):
            ready = job.refresh(stage)
            if not ready.pending:
                continue
            workers = []
            for turn in range(2):
                pid = os.fork()
                if pid == 0:
                    status = 1
                    try:
                        os.closerange(3, 1024)  # as of a process that was started: the lock is not the worker's
                        for index in ready.pending[turn::2]:
                            execute(job, stage, ready.task_list, index)
                        status = 0
                    finally:
                        os._exit(status)
                workers.append(pid)
            ended = [os.waitpid(pid, 0)[1] for pid in workers]
            if any(ended):
                raise CorpusmillError("a worker died; finished units are kept: the same command goes on")


@contextmanager
def serially(engine: type[Engine] = Serial) -> Iterator[None]:
    """The default runner is this one in the block, for `run` and for what calls it."""
    before = base.ENGINES["local"]
    base.ENGINES["local"] = f"{engine.__module__}:{engine.__name__}"
    try:
        yield
    finally:
        base.ENGINES["local"] = before
