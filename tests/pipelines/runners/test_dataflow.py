"""Dataflow: what is refused before submission, and the options that it is given. Its graph: tests/pipelines/test_reach.py."""

from pathlib import Path

import pytest

from corpusmill import pipelines
from corpusmill.pipelines.engine.job import Job
from corpusmill.pipelines.engine.open_job import open_job
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.runners.dataflow import REQUIRED, Dataflow, job_name, machine_memory
from corpusmill.transforms.errors import CorpusmillError, RecipeError
from tests.corpora import rows, write_recipe, write_shards

GIVEN = {"project": "p", "region": "europe-west1", "temp_location": "gs://b/tmp", "sdk_container_image": "r/c:1"}
RECIPES = Path(pipelines.__file__).parent / "recipes"


def flags(**more):
    return [f"--{k}={v}" for k, v in {**GIVEN, **more}.items() if v is not None]


@pytest.fixture
def remote(tmp_path):
    """A job all of whose paths lie in a store."""
    source = {"name": "raw", "path": "gs://b/raw/*.parquet", "columns": {"id": "id"}}
    path = write_recipe(tmp_path, ["exact"], sources=[source], output={"path": "gs://b/out"})
    return Job(load(path), "gs://b/out", "")


def client():
    pytest.importorskip("google.cloud.dataflow", reason="apache-beam[gcp] is not installed")
    return pytest.importorskip("apache_beam.runners.dataflow.internal.apiclient")


def test_a_job_in_a_store_with_all_that_is_required_is_taken(remote):
    client()
    Dataflow(None, flags()).check(remote)
    Dataflow(3, flags(machine_type="n2-highmem-2", staging_location="gs://b/staging")).check(remote)


@pytest.mark.parametrize("name", REQUIRED)
def test_what_is_required_is_named_with_an_example(remote, name):
    with pytest.raises(RecipeError, match=r"--runner dataflow needs, behind `--`: ") as raised:
        Dataflow(None, flags(**{name: None})).check(remote)
    assert str(raised.value).endswith(f"`--`: --{name}={REQUIRED[name]}")


@pytest.mark.parametrize(
    ("workers", "more", "said"),
    [
        (None, {"temp_location": "/tmp/x"}, "--temp_location: a folder of a bucket, gs://..., not /tmp/x"),
        (None, {"staging_location": "s3://b/x"}, "--staging_location: a folder of a bucket, gs://..., not s3://b/x"),
        (3, {"max_num_workers": 4}, "--workers and --max_num_workers say the same; leave one out"),
        (None, {"sdk_container_image": "apache/beam_python3.11_sdk:2.77.0"}, "Beam's own image has no corpusmill"),
        (None, {"dry_run": "False"}, "--dry_run: Beam takes any value for yes; say --dry_run=True, or leave it out"),
        (None, {"no_such_option": 1}, "--no_such_option=1"),
    ],
)
def test_options_that_cannot_work_are_refused(remote, workers, more, said):
    with pytest.raises(RecipeError) as raised:
        Dataflow(workers, flags(**more)).check(remote)
    assert said in str(raised.value)


@pytest.mark.parametrize("option", ["machine_type", "worker_machine_type"])
def test_a_machine_that_cannot_hold_a_unit_is_refused(remote, option):
    recipe = load(remote.recipe.base_dir / "recipe.yaml", ["output.shard_bytes=1000000000"])
    source = recipe.sources[0].model_dump(mode="json", exclude_unset=True)
    output = {"path": "gs://b/out", "shard_bytes": 1_000_000_000}
    steps = [{"mix": {"weights": {"raw": 1}}}]
    mixed = load(write_recipe(recipe.base_dir, steps, sources=[source], output=output))
    client()
    Dataflow(None, flags(**{option: "n1-highcpu-2"})).check(Job(recipe, "gs://b/out", ""))
    with pytest.raises(RecipeError, match=r"machine type n1-highcpu-2 .*3 x 1000 MB of a mixed shard"):
        Dataflow(None, flags(**{option: "n1-highcpu-2"})).check(Job(mixed, "gs://b/out", ""))


def test_what_lies_on_this_machine_is_listed(tmp_path):
    write_shards(tmp_path / "raw", rows(10), 1)
    job = open_job(load(write_recipe(tmp_path, ["exact"])))
    with pytest.raises(RecipeError) as raised:
        Dataflow(None, flags()).check(job)
    assert str(raised.value) == (
        "--runner dataflow cannot see what lies on this machine:\n  source raw: raw/*.parquet\n  output: out\n"
        "Nothing was submitted. Copy it to a bucket and name it by gs://."
    )


def test_our_options_stand_where_none_is_given(remote):
    made = Dataflow(None, flags()).flags_for(remote, "0123456789ab")
    assert made[: len(GIVEN)] == flags()
    assert made[len(GIVEN) :] == [
        "--max_num_workers=100",
        "--number_of_worker_harness_threads=1",
        "--job_name=corpusmill-test-0123456789ab",
        "--labels=tool=corpusmill",
        "--labels=corpusmill-run=0123456789ab",
    ]
    own = flags(max_num_workers=7, number_of_worker_harness_threads=2, job_name="mine")
    assert Dataflow(None, own).flags_for(remote, "r") == [*own, "--labels=tool=corpusmill", "--labels=corpusmill-run=r"]
    assert "--max_num_workers=5" in Dataflow(5, flags()).flags_for(remote, "r")


def test_no_more_workers_than_units(tmp_path):
    write_shards(tmp_path / "raw", rows(30), 3)
    job = open_job(load(write_recipe(tmp_path, ["exact"], output={"path": "out", "shard_bytes": 1024})))
    units = len(job.splits())
    assert f"--max_num_workers={units}" in Dataflow(None, flags()).flags_for(job, "r")


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("docs", "corpusmill-docs-r"),
        ("My_Corpus.v2", "corpusmill-my-corpus-v2-r"),
        ("--x--", "corpusmill-x-r"),
        ("a" * 99, f"corpusmill-{'a' * 40}-r"),
    ],
)
def test_a_job_has_a_name_that_dataflow_takes(name, made):
    assert job_name(name, "r") == made


@pytest.mark.parametrize(
    ("machine", "size"),
    [
        ("n1-standard-1", (3_750_000_000, 1)),
        ("n1-highmem-2", (13_000_000_000, 2)),
        ("n1-highcpu-4", (3_600_000_000, 4)),
        ("n2-standard-4", (16_000_000_000, 4)),
        ("n2d-highcpu-8", (8_000_000_000, 8)),
        ("c3-highmem-4-lssd", (32_000_000_000, 4)),
        ("e2-medium", None),
        ("custom-4-16384", None),
        ("n2-standard", None),
    ],
)
def test_memory_of_a_machine_is_told_by_its_name_or_not_at_all(machine, size):
    assert machine_memory(machine) == size


def test_a_dry_run_says_that_nothing_ran_and_a_submission_has_an_id(remote, monkeypatch):
    asked = []

    class Pipeline:
        def run(self):
            return self

        def wait_until_finish(self):
            asked.append("waited")

        def job_id(self):
            return "2026-01-01_00_00"

    def pipeline(self, job, wanted, publish):
        asked.append(publish)
        return Pipeline()

    marks = []
    monkeypatch.setattr("corpusmill.pipelines.runners.dataflow.expected", lambda job: marks.append(job))
    monkeypatch.setattr("corpusmill.pipelines.runners.dataflow.forget", lambda job, wanted: marks.remove(job))
    monkeypatch.setattr(Dataflow, "_pipeline", pipeline)
    with pytest.raises(CorpusmillError, match="--dry_run: the graph was built and validated; nothing was submitted"):
        Dataflow(None, flags(dry_run="True")).run(remote)
    Dataflow(None, flags()).run(remote)
    assert marks == []
    assert Dataflow(None, flags()).submit(remote) == "2026-01-01_00_00"
    with pytest.raises(CorpusmillError, match="--dry_run: the graph was built and validated; nothing was submitted"):
        Dataflow(None, flags(dry_run="true")).submit(remote)
    assert len(marks) == 1  # of the one that runs
    assert Dataflow(None, flags(template_location="gs://b/t")).submit(remote) == ""
    assert asked == [False, False, "waited", True, True, True]
