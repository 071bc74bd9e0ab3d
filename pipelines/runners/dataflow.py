"""Runs a job on Google Cloud Dataflow: one graph, checked here, run there.

The service sees no disk of this machine, so everything that a recipe names must be in an object store or in the image.
Options are Beam's own. Defaults are added: the run's id as a label, a cap on workers, and one thread per worker process
(a kernel uses one core, and the memory is then that of one task).
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from corpusmill.pipelines.engine.job import Job
from corpusmill.pipelines.engine.memory import MB
from corpusmill.pipelines.runners.base import Engine, need
from corpusmill.pipelines.runners.beam_options import pipeline_options
from corpusmill.pipelines.runners.worker_checks import Expected, check_memory, expected, forget, local_paths
from corpusmill.transforms.errors import CorpusmillError, RecipeError

MAX_WORKERS = 100
"""Default cap on workers, if there are at least as many tasks."""
REQUIRED = {
    "project": "PROJECT",
    "region": "europe-west1",
    "temp_location": "gs://BUCKET/tmp",
    "sdk_container_image": "REGION-docker.pkg.dev/PROJECT/REPOSITORY/corpusmill:TAG",
}
GB_PER_CORE = {"standard": 4.0, "highmem": 8.0, "highcpu": 1.0}
"""GB of memory per core of Google's machine families; the first generation has 3.75, 6.5 and 0.9."""
_DRY = "--dry_run: the graph was built and validated; nothing was submitted or committed."
_MACHINE = re.compile(r"(?P<family>[a-z]\d[a-z]?)-(?P<kind>standard|highmem|highcpu)-(?P<cores>\d+)(-lssd)?")


class Dataflow(Engine):
    """`--project --region --temp_location --sdk_container_image`; `--workers` caps the workers."""

    name: ClassVar[str] = "dataflow"

    def check(self, job: Job) -> None:
        """Check that Google's client is installed, required options are given, and the service can see every path."""
        pipeline_options(self.flags)
        missing = [f"--{k}={v}" for k, v in REQUIRED.items() if not self.option(k)]
        if missing:
            raise RecipeError(f"--runner dataflow needs, behind `--`: {' '.join(missing)}")
        for name in ("temp_location", "staging_location"):
            value = self.option(name)
            if value and not value.startswith("gs://"):
                raise RecipeError(f"--{name}: a folder of a bucket, gs://..., not {value}")
        if self.option("dry_run") not in (None, "True", "true"):
            raise RecipeError("--dry_run: Beam takes any value for yes; say --dry_run=True, or leave it out")
        if self.workers and self.option("max_num_workers"):
            raise RecipeError("--workers and --max_num_workers say the same; leave one out")
        if "apache/beam_python" in str(self.option("sdk_container_image")):
            raise RecipeError("--sdk_container_image: Beam's own image has no corpusmill; build the one of docker/")
        local = local_paths(job)
        if local:
            raise RecipeError(
                "--runner dataflow cannot see what lies on this machine:\n  "
                + "\n  ".join(local)
                + "\nNothing was submitted. Copy it to a bucket and name it by gs://."
            )
        machine = self.option("machine_type") or self.option("worker_machine_type")
        size = machine_memory(machine) if machine else None
        if size:
            memory, cores = size
            check_memory(job, memory, f"machine type {machine}", cores)
        need("apache_beam.runners.dataflow.internal.apiclient", "gcp", self.name)

    def flags_for(self, job: Job, run: str) -> list[str]:
        """The given options with our defaults. run: its id."""
        cap = self.workers or max(1, min(MAX_WORKERS, len(job.splits()) if job.reads else MAX_WORKERS))
        flags = list(self.flags)
        if not self.option("max_num_workers"):
            flags.append(f"--max_num_workers={cap}")
        if not self.option("number_of_worker_harness_threads"):
            flags.append("--number_of_worker_harness_threads=1")
        if not self.option("job_name"):
            flags.append(f"--job_name={job_name(job.recipe.name, run)}")
        return [*flags, "--labels=tool=corpusmill", f"--labels=corpusmill-run={run}"]

    def run(self, job: Job) -> None:
        """Submit and wait.

        Raises:
            CorpusmillError: it was a dry run; the graph was built and validated, and nothing ran.
        """
        wanted = expected(job)
        try:
            result = self._pipeline(job, wanted, publish=False).run()
            if self._dry():
                raise CorpusmillError(_DRY)
            result.wait_until_finish()
        finally:
            forget(job, wanted)

    def submit(self, job: Job) -> str:
        """Submit, with the commit as the job's last step; returns Dataflow's id of the job. In a Flex Template's
        launcher (`--template_location`), Beam only writes the graph and the service starts it, so there is no id yet.

        Raises:
            CorpusmillError: it was a dry run; the graph was built and validated, and nothing was submitted.
        """
        wanted = expected(job)
        result = self._pipeline(job, wanted, publish=True).run()
        if self._dry():
            forget(job, wanted)
            raise CorpusmillError(_DRY)
        return "" if self.option("template_location") else str(result.job_id())

    def _dry(self) -> bool:
        return self.option("dry_run") is not None

    def _pipeline(self, job: Job, wanted: Expected | None, publish: bool) -> Any:
        from corpusmill.pipelines.runners.submit import run_id

        flags = self.flags_for(job, run_id(job))
        return build(job, flags, wanted, publish)


def build(job: Job, flags: list[str], wanted: Expected | None, publish: bool) -> Any:
    """The pipeline that is submitted."""
    import apache_beam as beam
    from apache_beam.runners.dataflow import DataflowRunner

    from corpusmill.pipelines.runners.graph import RunStages

    pipeline = beam.Pipeline(runner=DataflowRunner(), options=pipeline_options(flags))
    _ = pipeline | "start" >> beam.Create([0]) | "stages" >> RunStages(job, wanted, publish)
    return pipeline


def job_name(name: str, run: str) -> str:
    """A valid job name for Dataflow: lower-case letters, digits and hyphens, a letter first.

    >>> job_name("My_Corpus.v2", "0123456789ab")
    'corpusmill-my-corpus-v2-0123456789ab'
    """
    return f"corpusmill-{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')[:40]}-{run}"


def machine_memory(machine: str) -> tuple[int, int] | None:
    """(bytes of memory, cores) of a machine type, or None if its name does not say.

    >>> machine_memory("n2-highmem-4")
    (32000000000, 4)
    """
    found = _MACHINE.fullmatch(machine)
    if not found:
        return None
    cores, per_core = int(found["cores"]), GB_PER_CORE[found["kind"]]
    if found["family"] == "n1":
        per_core = {4.0: 3.75, 8.0: 6.5, 1.0: 0.9}[per_core]
    return int(cores * per_core * 1000 * MB), cores
