import dataclasses
import json
import os
from pathlib import Path

import pytest

from corpusmill import pipelines
from corpusmill.pipelines.engine.job import Job
from corpusmill.pipelines.engine.open_job import open_job
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.runners import worker_checks
from corpusmill.pipelines.runners.dataflow import Dataflow, machine_memory
from corpusmill.pipelines.runners.graph_summary import summary
from corpusmill.transforms import storage
from corpusmill.transforms.errors import EngineError, RecipeError, SourceError
from corpusmill.transforms.storage.objects import forget_clients
from tests import objects
from tests.corpora import rows, write_recipe, write_shards

FLAGS = [
    "--project=my-project",
    "--region=europe-west1",
    "--temp_location=gs://bucket/tmp",
    "--sdk_container_image=r/c:1",
]


@pytest.fixture
def job(tmp_path):
    write_shards(tmp_path / "raw", rows(20), 2)
    return open_job(load(write_recipe(tmp_path, ["clean", "exact"])))


def test_this_process_can_do_its_own_job(job):
    wanted = worker_checks.expected(job)
    wanted.verify(job)
    worker_checks.forget(job, wanted)
    assert os.listdir(job.store.path(".corpusmill/marks")) == []


def test_other_versions_are_told(job):
    wanted = worker_checks.expected(job)
    facts = dataclasses.replace(
        wanted.facts, python="3.9", code="0" * 16, versions={**wanted.facts.versions, "numpy": "1.0"}
    )
    with pytest.raises(
        EngineError, match=r"runs Python 3.11, here 3.9; numpy .*, here 1.0; another version of corpusmill"
    ):
        dataclasses.replace(wanted, facts=facts).verify(job)


def test_too_little_memory_is_told(job):
    wanted = dataclasses.replace(worker_checks.expected(job), memory=1 << 60)
    with pytest.raises(EngineError, match="a task takes"):
        wanted.verify(job)
    with pytest.raises(RecipeError, match="2 threads"):
        worker_checks.check_memory(job, 1 << 28, "worker a", threads=2)


def test_another_disk_and_a_missing_file_are_told(job):
    wanted = worker_checks.expected(job)
    with pytest.raises(SourceError, match="another disk"):
        dataclasses.replace(wanted, mark="no such mark").verify(job)
    os.unlink(job.splits()[0].parts[0].path)
    assert "cannot see" in worker_checks.unseen_from_here(job, wanted.mark)


def test_dataflow_refuses_local_paths_and_missing_options_before_submission(job):
    with pytest.raises(RecipeError, match=r"source raw: raw/\*.parquet\n  output: out"):
        Dataflow(None, FLAGS).check(job)
    with pytest.raises(RecipeError, match=r"--region=.*--sdk_container_image="):
        Dataflow(None, ["--project=p"]).check(job)
    flags = Dataflow(7, FLAGS).flags_for(job, "0123456789ab")
    assert {
        "--max_num_workers=7",
        "--labels=corpusmill-run=0123456789ab",
        "--job_name=corpusmill-test-0123456789ab",
    } <= set(flags)
    assert machine_memory("n1-standard-2") == (7_500_000_000, 2)


def test_the_graph_is_one_line_with_two_shuffles_a_stage(job):
    found = summary(job, publish=True)
    assert found == {
        "stages": [
            {"label": "pass 1 of 2: clean", "shuffles": 2},
            {"label": "exact: decide", "shuffles": 2},
            {"label": "pass 2 of 2: apply exact, write", "shuffles": 2},
        ],
        "shuffles": 6,
        "steps": found["steps"],
        "unread": 1,
        "branches": 0,
        "element_bytes": 53,
    }


RECIPES = Path(pipelines.__file__).parent / "recipes"
GRAPHS = json.loads((Path(__file__).parent / "graphs.json").read_text())
"""The stages, shuffles and leaf transforms of each shipped recipe: a change of a graph is a change of this file."""


def in_bucket(name):
    return Job(load(RECIPES / f"{name}.yaml", check_paths=False), "gs://bucket/out", "")


@pytest.mark.parametrize("name", sorted(p.stem for p in RECIPES.glob("*.yaml")))
def test_the_graph_of_each_shipped_recipe_is_as_it_was(name):
    found = summary(in_bucket(name), publish=True)
    stages = [s["label"] for s in found["stages"]]
    assert {"stages": stages, "shuffles": found["shuffles"], "steps": found["steps"]} == GRAPHS[name]
    assert (found["unread"], found["branches"]) == (1, 0)


@pytest.mark.parametrize("name", sorted(p.stem for p in RECIPES.glob("*.yaml")))
def test_dataflow_takes_the_graph_of_each_shipped_recipe_in_a_dry_run(name):
    pytest.importorskip("google.cloud.dataflow", reason="apache-beam[gcp] is not installed")
    from corpusmill.pipelines.runners.dataflow import build
    from corpusmill.pipelines.runners.graph_summary import of_proto

    remote = in_bucket(name)
    flags = Dataflow(3, [*FLAGS, "--staging_location=gs://bucket/staging", "--dry_run=True", "--no_auth"]).flags_for(
        remote, "0" * 12
    )
    result = build(remote, flags, None, publish=True).run()
    assert of_proto(result.job.proto_pipeline)["shuffles"] == GRAPHS[name]["shuffles"]


def test_a_dataset_in_a_store_is_in_reach_of_every_worker_and_one_on_a_disk_is_not(tmp_path, monkeypatch):
    pytest.importorskip("moto", reason="moto is not installed")
    write_shards(tmp_path / "raw", rows(20), 2)
    source = {"name": "raw", "path": "s3://corpora/raw/*.parquet", "columns": {"id": "id"}}
    path = write_recipe(tmp_path, ["exact"], sources=[source], output={"path": "s3://corpora/out"})
    with objects.serving() as server:
        for file in (tmp_path / "raw").iterdir():
            storage.write_atomic(f"s3://corpora/raw/{file.name}", file.read_bytes())
        job = open_job(load(path))
        assert worker_checks.local_paths(job) == []
        assert "output: out" in worker_checks.local_paths(open_job(load(write_recipe(tmp_path, ["exact"]))))
        wanted = worker_checks.expected(job)
        assert worker_checks.unseen_from_here(job, wanted.mark) == ""
        wanted.verify(job)
        assert "another store" in worker_checks.unseen_from_here(job, "no such mark")
        worker_checks.forget(job, wanted)
        assert not [e.uri for e in storage.below("s3://corpora/out/.corpusmill/marks")]
    # as a worker without the store's address finds it
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for key, value in objects.ENVIRONMENT.items():
        monkeypatch.setenv(key, value)
    assert "cannot write to s3://corpora/out: the store failed" in worker_checks.unseen_from_here(job, wanted.mark)
    forget_clients()
