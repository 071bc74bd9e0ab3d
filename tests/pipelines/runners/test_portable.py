"""The portable engine: what it refuses before anything runs. That it gives the same bytes is tests/pipelines/test_runners.py."""

import os
import socket
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from corpusmill.pipelines.engine.open_job import open_job
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.runners import portable
from corpusmill.pipelines.runners.beam_options import pipeline_options
from corpusmill.pipelines.runners.portable import ENVIRONMENTS, Portable
from corpusmill.transforms.errors import CorpusmillError, RecipeError
from tests.corpora import rows, write_recipe, write_shards


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    folder = tmp_path_factory.mktemp("job")
    write_shards(folder / "raw", rows(10), 1)
    return open_job(load(write_recipe(folder, ["exact"])))


@pytest.fixture
def endpoint():
    """Where something listens that speaks gRPC."""
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


CONFIG = {"EXTERNAL": "pool:50000", "PROCESS": '{"command": "boot"}', "DOCKER": "mine/corpusmill-beam:1"}


@pytest.mark.parametrize("kind", ENVIRONMENTS)
def test_every_environment_is_taken_when_the_service_answers(job, endpoint, kind):
    more = [f"--environment_config={CONFIG[kind]}"] if kind in CONFIG else []
    Portable(None, [f"--job_endpoint={endpoint}", f"--environment_type={kind}", *more]).check(job)


@pytest.mark.parametrize(
    ("workers", "flags", "said"),
    [
        (2, [], r"--workers: a portable engine counts its own; say `-- --parallelism=N` \(Flink\)"),
        (None, ["--environment_type=LOOPBACK"], r"needs `-- --job_endpoint=HOST:PORT`"),
        (None, ["--job_endpoint=x:1"], "one of LOOPBACK, EXTERNAL, PROCESS, DOCKER, which is not given"),
        (None, ["--job_endpoint=x:1", "--environment_type=loopback"], "DOCKER, not loopback"),
        (None, ["--job_endpoint=x:1", "--environment_type=EXTERNAL"], "needs `--environment_config`: the address of a worker pool"),
        (None, ["--job_endpoint=x:1", "--environment_type=PROCESS"], "`--environment_config`: .*beam/boot"),
        (None, ["--job_endpoint=x:1", "--environment_type=PROCESS", "--environment_config=boot"], "a mapping in JSON"),
        (None, ["--job_endpoint=x:1", "--environment_type=PROCESS", '--environment_config=["boot"]'], "a mapping in JSON"),
        (None, ["--job_endpoint=x:1", "--environment_type=DOCKER"], "`--environment_config`: an image that has corpusmill"),
        (
            None,
            ["--job_endpoint=x:1", "--environment_type=DOCKER", "--environment_config=apache/beam_python3.11_sdk:2"],
            "Beam's own image has no corpusmill; name the one of docker/",
        ),
        (None, ["--job_endpoint=x:1", "--parralelism=2"], "--parralelism=2"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_with_what_to_give(job, workers, flags, said):
    with pytest.raises(RecipeError, match=said):
        Portable(workers, flags).check(job)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1", "127.0.0.1:http", "[::1]:1", "no.such.host.invalid:1"])
def test_a_service_that_does_not_answer_is_named(job, address):
    with pytest.raises(CorpusmillError) as raised:
        Portable(None, [f"--job_endpoint={address}", "--environment_type=LOOPBACK"]).check(job)
    assert str(raised.value).startswith(f"no job service answers at {address}: ")
    assert str(raised.value).endswith("Nothing ran. Start it, or correct `--job_endpoint=HOST:PORT`.")


def test_a_service_that_says_nothing_is_not_waited_for(job, monkeypatch):
    monkeypatch.setattr(portable, "ANSWER", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(CorpusmillError, match="says nothing in gRPC"):
        Portable(None, [f"--job_endpoint=127.0.0.1:{mute.getsockname()[1]}", "--environment_type=LOOPBACK"]).check(job)


def marks(job):
    folder = job.store.path(".corpusmill/marks")
    return os.listdir(folder) if os.path.isdir(folder) else []


@pytest.mark.parametrize("fails", [False, True])
def test_the_mark_of_a_run_is_taken_away_whatever_becomes_of_it(job, monkeypatch, fails):
    seen = []

    class Pipeline:
        def run(self):
            return self

        def wait_until_finish(self):
            seen.append(marks(job))
            if fails:
                raise CorpusmillError("the engine failed")

    def pipeline(self, job, wanted, publish):
        assert publish is False
        return Pipeline()

    monkeypatch.setattr(Portable, "_pipeline", pipeline)
    engine = Portable(None, ["--job_endpoint=x:1", "--environment_type=EXTERNAL"])
    if fails:
        with pytest.raises(CorpusmillError, match="the engine failed"):
            engine.run(job)
    else:
        engine.run(job)
    assert len(seen[0]) == 1
    assert marks(job) == []


def test_a_job_that_goes_on_alone_is_known_by_the_engines_name_and_needs_workers_elsewhere(job, monkeypatch):
    asked = []

    class Result:
        _job_id = "job-7"

    class Pipeline:
        def run(self):
            return Result()

    def pipeline(self, job, wanted, publish):
        asked.append(publish)
        return Pipeline()

    monkeypatch.setattr(Portable, "_pipeline", pipeline)
    assert Portable(None, ["--environment_type=EXTERNAL"]).submit(job) == "job-7"
    with pytest.raises(RecipeError, match="LOOPBACK runs the workers in this process, which must wait for them"):
        Portable(None, ["--environment_type=LOOPBACK"]).submit(job)
    assert asked == [True]


def test_an_option_that_beam_does_not_know_is_named_with_the_nearest_one():
    with pytest.raises(RecipeError, match=r"behind `--`: --job_endpont=h:1 \(did you mean --job_endpoint\?\)$"):
        pipeline_options(["--job_endpont=h:1"])
