import dataclasses
import os

import pytest

from pipelines import reach
from pipelines.engines.dataflow import Dataflow, machine_memory
from pipelines.graph_summary import summary
from pipelines.job import Job
from pipelines.plan import open_job
from pipelines.recipe import load
from tests.corpora import rows, write_recipe, write_shards
from transforms.errors import EngineError, RecipeError, SourceError

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
    wanted = reach.expected(job)
    wanted.verify(job)
    reach.forget(job, wanted)
    assert os.listdir(job.store.path(".corpusmill/marks")) == []


def test_other_versions_are_told(job):
    wanted = reach.expected(job)
    facts = dataclasses.replace(
        wanted.facts, python="3.9", code="0" * 16, versions={**wanted.facts.versions, "numpy": "1.0"}
    )
    with pytest.raises(
        EngineError, match=r"runs Python 3.11, here 3.9; numpy .*, here 1.0; another version of corpusmill"
    ):
        dataclasses.replace(wanted, facts=facts).verify(job)


def test_too_little_memory_is_told(job):
    wanted = dataclasses.replace(reach.expected(job), memory=1 << 60)
    with pytest.raises(EngineError, match="a unit takes"):
        wanted.verify(job)
    with pytest.raises(RecipeError, match="2 threads"):
        reach.check_memory(job, 1 << 28, "worker a", threads=2)


def test_another_disk_and_a_missing_file_are_told(job):
    wanted = reach.expected(job)
    with pytest.raises(SourceError, match="another disk"):
        dataclasses.replace(wanted, mark="no such mark").verify(job)
    os.unlink(job.read_units()[0].parts[0].path)
    assert "cannot see" in reach.unseen_from_here(job, wanted.mark)


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


def test_the_graph_of_a_recipe_in_a_bucket_passes_a_dry_run(job):
    pytest.importorskip("google.cloud.dataflow", reason="apache-beam[gcp] is not installed")
    from pipelines.engines.dataflow import build
    from pipelines.graph_summary import of_proto

    remote = Job(job.recipe, "gs://bucket/out", "")
    flags = Dataflow(3, [*FLAGS, "--staging_location=gs://bucket/staging", "--dry_run=True", "--no_auth"]).flags_for(
        remote, "0" * 12
    )
    result = build(remote, flags, None, publish=True).run()
    assert of_proto(result.job.proto_pipeline)["shuffles"] == 6
