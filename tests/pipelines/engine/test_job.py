import pickle

import pyarrow as pa
import pytest

from corpusmill.pipelines.engine.job import Job, unified_schema
from corpusmill.pipelines.engine.open_job import open_job
from corpusmill.pipelines.recipe.model import load
from corpusmill.transforms.errors import EngineError
from tests.corpora import rows, write_recipe, write_shards


@pytest.fixture
def job(tmp_path):
    write_shards(tmp_path / "raw", rows(240), 3)
    return open_job(load(write_recipe(tmp_path, ["clean", {"exact": {}}, {"length": {}}, {"minhash": {}}])))


def test_a_recipe_is_cut_at_its_groups(job):
    assert [(s.kind, s.number, s.round) for s in job.stages] == [
        ("pass", 0, 0),
        ("decide", 0, 0),
        ("pass", 1, 0),
        ("decide", 1, 0),
        ("gather", 1, 0),
        ("keys", 1, 1),
        ("decide", 1, 1),
        ("pass", 2, 0),
    ]
    assert [s.name for s in job.fused(0)] == ["clean"]
    assert [s.name for s in job.fused(1)] == ["length"]
    assert job.stages[2].label(job) == "pass 2 of 3: apply exact, length"
    assert job.stages[4].label(job) == "minhash: gather 1 of 2"


def test_units_are_known_only_when_the_stage_before_is_done(job):
    ready = job.prepare(0)
    assert len(ready.requests) == len(ready.pending) == 3
    assert [ready.sizes[i] for i in ready.pending] == sorted(ready.sizes, reverse=True)
    with pytest.raises(EngineError, match="not complete"):
        job.prepare(1)


def test_a_job_travels_light(job):
    job.prepare(0)
    again = pickle.loads(pickle.dumps(job))
    assert isinstance(again, Job)
    assert again._prepared == {}
    assert again.prepare(0).requests == job.prepare(0).requests
    assert len(pickle.dumps(job)) < 20_000


def test_requests_follow_content_seed_and_steps_not_paths(job, tmp_path):
    other = tmp_path / "elsewhere"
    write_shards(other / "raw", rows(240), 3)
    steps = ["clean", {"exact": {}}, {"length": {}}, {"minhash": {}}]
    same = open_job(load(write_recipe(other, steps)))
    assert same.prepare(0).requests == job.prepare(0).requests
    assert same.work_digest() == job.work_digest()
    for changed in (["seed=2"], ["steps.clean.unicode=NFKC"], ["steps.exact.keep=longest"]):
        assert open_job(load(write_recipe(other, steps), changed)).prepare(0).requests != job.prepare(0).requests
    later = open_job(load(write_recipe(other, steps), ["steps.minhash.threshold=0.7"]))
    assert later.prepare(0).requests == job.prepare(0).requests
    assert later.work_digest() != job.work_digest()


def test_schemas_of_shards_become_one():
    wires = [
        {"schema": pa.schema(fields).serialize().to_pybytes().hex()}
        for fields in (
            [("id", pa.string()), ("n", pa.null())],
            [("id", pa.string()), ("n", pa.int64()), ("x", pa.float64())],
        )
    ]
    assert unified_schema(wires) == unified_schema(wires[::-1])
    assert [str(f.type) for f in unified_schema(wires)] == ["string", "int64", "double"]
