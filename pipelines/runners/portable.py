"""Runs a job on any engine with a job service of Beam's portability API: Flink, Spark, Prism.

The whole job is one graph, because these engines take seconds to start a pipeline and shuffle correctly. Workers run in
the environment that `--environment_type` names. Each worker checks itself before its first task.
"""

from __future__ import annotations

import contextlib
import json
import socket
from typing import Any, ClassVar

from corpusmill.pipelines.engine.job import Job
from corpusmill.pipelines.runners.base import Engine
from corpusmill.pipelines.runners.beam_options import pipeline_options
from corpusmill.pipelines.runners.worker_checks import Expected, expected, forget
from corpusmill.transforms.errors import CorpusmillError, RecipeError

ENVIRONMENTS = ("LOOPBACK", "EXTERNAL", "PROCESS", "DOCKER")

ANSWER = 30.0
"""Seconds until a job service must have answered."""


class Portable(Engine):
    """`--job_endpoint` names the job service, `--environment_type` where workers run."""

    name: ClassVar[str] = "portable"

    def check(self, job: Job) -> None:
        """Check that the endpoint answers, and that the environment has our package."""
        pipeline_options(self.flags)
        if self.workers:
            raise RecipeError(
                "--workers: a portable engine counts its own; say `-- --parallelism=N` (Flink), or `--sdk_worker_parallelism=N`"
            )
        endpoint, kind = self.option("job_endpoint"), self.option("environment_type")
        if not endpoint:
            raise RecipeError(
                "--runner portable needs `-- --job_endpoint=HOST:PORT`, where the engine's job service is"
            )
        if kind not in ENVIRONMENTS:
            said = f"not {kind}" if kind else "which is not given"
            raise RecipeError(
                f"--runner portable: `--environment_type` says where workers run: one of {', '.join(ENVIRONMENTS)}, {said}. "
                "LOOPBACK is this process, for trials; EXTERNAL a worker pool, whose address `--environment_config` gives."
            )
        if kind != "LOOPBACK" and not self.option("environment_config"):
            what = {"EXTERNAL": "the address of a worker pool", "PROCESS": '{"command": "/opt/apache/beam/boot"}'}
            raise RecipeError(
                f"--environment_type={kind} needs `--environment_config`: "
                f"{what.get(kind, 'an image that has corpusmill (docker/; Beam’s own has not)')}"
            )
        if kind == "PROCESS" and not _names_command(str(self.option("environment_config"))):
            raise RecipeError(
                "--environment_config: of PROCESS, a mapping in JSON that names the command, as in "
                '\'{"command": "/opt/apache/beam/boot"}\''
            )
        if kind == "DOCKER" and "apache/beam_python" in str(self.option("environment_config")):
            raise RecipeError("--environment_config: Beam's own image has no corpusmill; name the one of docker/")
        _reach(endpoint)

    def run(self, job: Job) -> None:
        """Run one graph to its end."""
        wanted = expected(job)
        try:
            self._pipeline(job, wanted, publish=False).run().wait_until_finish()
        finally:
            forget(job, wanted)

    def submit(self, job: Job) -> str:
        """Submit one graph with the commit at its end, without waiting."""
        if self.option("environment_type") == "LOOPBACK":
            raise RecipeError("--environment_type=LOOPBACK runs the workers in this process, which must wait for them")
        result = self._pipeline(job, expected(job), publish=True).run()
        return str(getattr(result, "_job_id", ""))

    def _pipeline(self, job: Job, wanted: Expected, publish: bool) -> Any:
        import apache_beam as beam
        from apache_beam.runners.portability.portable_runner import PortableRunner

        from corpusmill.pipelines.runners.graph import RunStages

        pipeline = beam.Pipeline(runner=PortableRunner(), options=pipeline_options(self.flags))
        _ = pipeline | "start" >> beam.Create([0]) | "stages" >> RunStages(job, wanted, publish)
        return pipeline


def _names_command(config: str) -> bool:
    try:
        found = json.loads(config)
    except ValueError:
        return False
    return isinstance(found, dict) and isinstance(found.get("command"), str)


def _reach(endpoint: str) -> None:
    """Raise CorpusmillError unless a gRPC server answers at the endpoint. Beam would wait five minutes for it."""
    import grpc

    host, _, port = endpoint.rpartition(":")
    try:
        with contextlib.closing(socket.create_connection((host.strip("[]"), int(port)), timeout=10)):
            pass
        with grpc.insecure_channel(endpoint) as channel:
            grpc.channel_ready_future(channel).result(timeout=ANSWER)
    except (OSError, ValueError, grpc.FutureTimeoutError) as error:
        said = str(error) or f"what listens there says nothing in gRPC for {ANSWER:g} seconds"
        raise CorpusmillError(
            f"no job service answers at {endpoint}: {said}. Nothing ran. Start it, or correct `--job_endpoint=HOST:PORT`."
        ) from error
