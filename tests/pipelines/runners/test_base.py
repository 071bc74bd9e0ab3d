"""The same recipe on every engine that can be had here: the same bytes."""

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from corpusmill.pipelines.cli import cli
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.engine.open_job import open_job
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.pipelines.runners import dask, local
from corpusmill.pipelines.runners import submit as detached
from corpusmill.pipelines.runners.base import RUNNERS
from corpusmill.pipelines.runners.beam_options import pipeline_options
from corpusmill.transforms.errors import CorpusmillError, DatasetError, RecipeError
from tests.corpora import rows, write_recipe, write_shards, write_tokenizer
from tests.docs.snippets import blocks
from tests.ports import free_ports

STEPS = [
    "clean",
    {"gopher-quality": {"min_words": 5}},
    "exact",
    "minhash",
    {"noise": {"delete": 0.05, "copies": 1}},
    {"mix": {"temperature": 2.0}},
    {"pack": {"tokenizer": "tokenizer.json", "length": 64}},
]
# the service is a process of this machine, too: without the timer its buffers lose nothing
SERVICE = (
    "import sys; from apache_beam.runners.portability.fn_api_runner import worker_handlers as w; "
    "w.DATA_BUFFER_TIME_LIMIT_MS = 0; "
    "from apache_beam.runners.portability.local_job_service_main import run; run(sys.argv[1:])"
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    pytest.importorskip("tokenizers", reason="tokenizers is not installed (extra `tokens`)")
    folder = tmp_path_factory.mktemp("corpus")
    write_shards(folder / "raw", rows(400), 8)
    write_tokenizer(folder, rows(400))
    write_recipe(folder, STEPS)
    return folder


def recipe_of(corpus, out):
    return load(corpus / "recipe.yaml", [f"output.path={out}"])


@pytest.fixture(scope="module")
def expected(corpus):
    return run(recipe_of(corpus, "local"), workers=2).manifest["content"]


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """The address of a job service."""
    file = tmp_path_factory.mktemp("service") / "port"
    process = subprocess.Popen(
        [sys.executable, "-c", SERVICE, "--port_file", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not file.exists():
            assert process.poll() is None
            time.sleep(0.05)
        yield f"localhost:{file.read_text()}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def pool():
    """The address of a pool of worker processes."""
    (port,) = free_ports(1)
    # the pool starts `python` by that name
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    root = str(Path(__file__).resolve().parents[3])
    process = subprocess.Popen(
        [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={port}"],
        env={**os.environ, "PATH": path, "PYTHONPATH": root},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("localhost", port), 1):
                break
            assert process.poll() is None
            time.sleep(0.1)
        yield f"localhost:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as found:
        yield found


def test_an_unknown_runner_is_told_the_known_ones(corpus):
    with pytest.raises(RecipeError, match="Runners: local, dask, portable, dataflow"):
        run(recipe_of(corpus, "none"), runner="flink")
    assert RUNNERS == ("local", "dask", "portable", "dataflow")


def test_an_unknown_runner_is_told_where_nothing_is_new_as_well(tmp_path):
    write_shards(tmp_path / "raw", rows(20), 1)
    recipe = load(write_recipe(tmp_path, ["exact"]))
    run(recipe, workers=1)
    with pytest.raises(RecipeError, match="--runner flink: unknown"):
        run(recipe, runner="flink")


def test_an_option_that_beam_does_not_know_is_refused():
    with pytest.raises(RecipeError, match="--direct_workers=3"):
        pipeline_options(["--direct_workers=3"])
    pipeline_options(["--labels=a=b", "--dry_run=True"])


def test_dask_gives_the_same_bytes_on_an_existing_cluster(corpus, expected, cluster):
    options = [f"--dask_client_address={cluster.scheduler_address}"]
    result = run(recipe_of(corpus, "dask"), runner="dask", options=options)
    assert result.manifest["content"] == expected
    assert Dataset(corpus / "dask").verify() == []
    assert not os.listdir(corpus / "dask" / ".corpusmill" / "marks")
    with pytest.raises(RecipeError, match="--workers"):
        run(recipe_of(corpus, "dask2"), runner="dask", workers=2, options=options)


@pytest.mark.slow
@pytest.mark.parametrize(
    "steps",
    [
        ["clean", "exact"],  # a pass, a decision, a pass: each kill costs a new process
        pytest.param(
            STEPS, marks=pytest.mark.skipif(os.environ.get("FAULTS") != "long", reason="ten kills: FAULTS=long")
        ),
    ],
    ids=["three stages", "all stages"],
)
def test_dask_survives_a_worker_killed_in_each_stage(corpus, cluster, tmp_path, steps, monkeypatch):
    write_shards(tmp_path / "raw", rows(200), 6)
    shutil.copy(corpus / "tokenizer.json", tmp_path)
    write_recipe(tmp_path, steps)
    expected = run(recipe_of(tmp_path, "whole"), workers=2).manifest["content"]
    killed, run_units = [], dask._run_tasks

    def with_a_kill(job, number, *more):
        while number not in killed:  # the workers of the stage before may not be back yet
            pids = [w.pid for w in cluster.workers.values() if w.pid]
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(pids[min(number % 2, len(pids) - 1)], signal.SIGKILL)
                killed.append(number)
            time.sleep(0.01)
        run_units(job, number, *more)

    monkeypatch.setattr(dask, "_run_tasks", with_a_kill)
    options = [f"--dask_client_address={cluster.scheduler_address}"]
    result = run(recipe_of(tmp_path, "killed"), runner="dask", options=options)
    assert result.manifest["content"] == expected
    assert killed == list(range(len(open_job(recipe_of(tmp_path, "killed")).stages)))


def test_a_mistake_in_a_dask_worker_is_told_as_it_was_raised(corpus, cluster, tmp_path):
    write_shards(tmp_path / "raw", rows(20), 2)
    (tmp_path / "mine.py").write_text(
        "from corpusmill.transforms.base import Map\nfrom corpusmill.transforms.errors import SourceError\n\n\n"
        "class Broken(Map):\n    name = 'broken'\n\n    def map(self, batch, rng):\n"
        "        if batch.num_rows:\n            raise SourceError('row 3 is wrong')\n        return batch\n"
    )
    recipe = load(write_recipe(tmp_path, ["mine:Broken"]))
    with pytest.raises(CorpusmillError, match="row 3 is wrong"):
        run(recipe, runner="dask", options=[f"--dask_client_address={cluster.scheduler_address}"])


def test_one_worker_gives_the_same_bytes_with_a_graph_and_without(corpus, expected, monkeypatch):
    assert run(recipe_of(corpus, "one"), workers=1).manifest["content"] == expected
    monkeypatch.setattr(local, "SMALL", 0)
    assert run(recipe_of(corpus, "graph"), workers=1).manifest["content"] == expected


def test_portable_gives_the_same_bytes_with_workers_in_this_process(corpus, expected, service):
    options = [f"--job_endpoint={service}", "--environment_type=LOOPBACK"]
    result = run(recipe_of(corpus, "loopback"), runner="portable", options=options)
    assert result.manifest["content"] == expected


@pytest.mark.slow
def test_a_submitted_job_commits_itself_and_again_by_its_run(corpus, expected, service, pool):
    recipe = recipe_of(corpus, "pool")
    options = [f"--job_endpoint={service}", "--environment_type=EXTERNAL", f"--environment_config={pool}"]
    run_id, _ = detached.submit(recipe, "portable", options=options)
    while not list((corpus / "pool" / "snapshots").glob("*.json")):
        time.sleep(0.2)
    job = detached.load_run(str(corpus / "pool"), run_id)
    assert detached.run_id(job) == run_id
    for _ in range(2):
        assert detached.commit_once(job)["number"] == 1
    assert Dataset(corpus / "pool").manifest()["content"] == expected


def test_a_run_that_is_not_done_is_not_committed(corpus):
    job = open_job(recipe_of(corpus, "undone"))
    run_id = detached.save_run(job)
    with pytest.raises(DatasetError, match=r"8 tasks of .*pass 1"):
        detached.commit_once(detached.load_run(job.dataset, run_id))
    with pytest.raises(DatasetError, match=r"no run 0000\. Submitted runs"):
        detached.load_run(job.dataset, "0000")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "--job_endpoint=HOST:PORT"),
        (["--job_endpoint=localhost:1"], "LOOPBACK, EXTERNAL, PROCESS, DOCKER, which is not given"),
        (["--job_endpoint=localhost:1", "--environment_type=EXTERNAL"], "address of a worker pool"),
        (
            [
                "--job_endpoint=localhost:1",
                "--environment_type=DOCKER",
                "--environment_config=apache/beam_python3.11_sdk",
            ],
            "has no corpusmill",
        ),
        (["--job_endpoint=localhost:1", "--environment_type=LOOPBACK"], "no job service answers at localhost:1"),
    ],
)
def test_portable_says_what_is_missing_before_anything_runs(corpus, options, said):
    with pytest.raises(CorpusmillError, match=said):
        run(recipe_of(corpus, "refused"), runner="portable", options=options)


def test_only_an_engine_that_goes_on_alone_takes_a_submitted_job(corpus):
    with pytest.raises(RecipeError, match="portable, dataflow"):
        detached.submit(recipe_of(corpus, "none"), "dask")


ROOT = Path(__file__).parents[3]
GUIDE = ROOT / "docs" / "engines.md"


def test_the_run_of_the_flink_manifest_is_a_command_that_runs(corpus, expected, service, pool):
    """With the addresses of here, of which the artifacts' is the service's own."""
    manifest = yaml.safe_load((ROOT / "docker" / "flink-run.yaml").read_text())
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    here = {
        "/data/corpus.yaml": str(corpus / "recipe.yaml"),
        "--job_endpoint=beam-jobs:8099": f"--job_endpoint={service}",
        "--artifact_endpoint=beam-jobs:8098": None,
        "--environment_config=localhost:50000": f"--environment_config={pool}",
    }
    assert set(here) <= set(container["args"])
    verb, recipe, *rest = [here.get(word, word) for word in container["args"]]
    done = CliRunner().invoke(cli, [verb, recipe, "--set", "output.path=flink", *(word for word in rest if word)])
    assert done.exit_code == 0, done.output
    while not list((corpus / "flink" / "snapshots").glob("*.json")):
        time.sleep(0.2)
    assert Dataset(corpus / "flink").manifest()["content"] == expected


def guide() -> list[str]:
    """The commands of the guide whose marks say that this module tests them."""
    return [
        line
        for block in blocks(GUIDE.read_text())
        if block.marks.get("tested by") == "tests/pipelines/runners/test_base.py"
        for line in block.text.splitlines()
    ]


def test_every_command_of_the_guide_runs(corpus, tmp_path, service, pool, cluster):
    """As it stands there, with the addresses and paths of here."""
    said = guide()
    assert len(said) >= 6
    run_id = ""
    for number, line in enumerate(said):
        program, verb, *rest = shlex.split(line)
        assert program == "corpusmill"
        folder = tmp_path / ("submitted" if verb in ("submit", "commit") else str(number))
        here = {
            "corpus.yaml": str(folder / "recipe.yaml"),
            "out/docs": str(folder / "out"),
            "ID": run_id,
            "8": "2",
            "--dask_client_address=tcp://scheduler:8786": f"--dask_client_address={cluster.scheduler_address}",
            "--job_endpoint=localhost:8099": f"--job_endpoint={service}",
            "--job_endpoint=jobs:8099": f"--job_endpoint={service}",
            "--environment_config=localhost:50000": f"--environment_config={pool}",
        }
        if not folder.exists():
            folder.mkdir()
            (folder / "raw").symlink_to(corpus / "raw")
            write_recipe(folder, ["clean", "exact"])
        if verb == "plan":
            run(load(folder / "recipe.yaml"), workers=2)
        done = CliRunner().invoke(cli, [verb, *(here.get(word, word) for word in rest)])
        assert done.exit_code == 0, (line, done.output)
        if verb == "submit":
            (run_id,) = (p.stem for p in (folder / "out" / ".corpusmill" / "runs").iterdir())
            while not list((folder / "out" / "snapshots").glob("*.json")):
                time.sleep(0.2)
