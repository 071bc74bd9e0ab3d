"""Dask: what is refused, and how stages are run again. That it gives the same bytes is tests/pipelines/test_runners.py."""

import dataclasses
import json
import os

import pytest

from corpusmill.pipelines.engine.open_job import open_job
from corpusmill.pipelines.engine.tasks import execute
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.runners import dask, worker_checks
from corpusmill.pipelines.runners.dask import ROUNDS, TASKS_PER_THREAD, Dask, check_cluster
from corpusmill.pipelines.runners.worker_checks import expected, facts_here
from corpusmill.transforms.errors import CorpusmillError, EngineError, RecipeError
from tests.corpora import rows, write_recipe, write_shards

distributed = pytest.importorskip("distributed", reason="distributed is not installed (extra `dask`)")
ADDRESS = "--dask_client_address=tcp://127.0.0.1:1"


@pytest.fixture
def job(tmp_path):
    write_shards(tmp_path / "raw", rows(30), 3)
    return open_job(load(write_recipe(tmp_path, ["exact"], output={"path": "out", "shard_bytes": 1024})))


@pytest.mark.parametrize(
    ("workers", "flags", "said"),
    [
        (
            2,
            ["--dask_scheduler_file=x"],
            "--workers: the existing Dask cluster has the workers it has; leave `--workers` out",
        ),
        (
            None,
            ["--dask_scheduler_file=x"],
            "x: cannot be read: No such file or directory; `dask scheduler --scheduler-file x` writes it",
        ),
        (None, ["--dask_client_address="], "--dask_client_address: names nothing; give the cluster's, or leave it out"),
        (None, ["--dask_scheduler_file="], "--dask_scheduler_file: names nothing"),
        (2, [ADDRESS], "--workers: the existing Dask cluster has the workers it has"),
        (
            None,
            ["--dask_npartitions=3"],
            "--dask_npartitions: each stage has its own number of tasks; leave it out",
        ),
        (None, ["--dask_partition_size", "3"], "--dask_partition_size: each stage has its own number"),
        (None, ["--dask_adress=x"], "--dask_adress=x"),
    ],
)
def test_options_that_cannot_work_are_refused(job, workers, flags, said):
    with pytest.raises(RecipeError) as raised:
        Dask(workers, flags).check(job)
    assert said in str(raised.value)


def test_a_cluster_or_workers_of_our_own_are_taken(job, tmp_path):
    (tmp_path / "s.json").write_text('{"address": "tcp://x:1"}')
    for workers, flags in ((2, []), (None, [f"--dask_scheduler_file={tmp_path}/s.json"]), (None, [ADDRESS])):
        Dask(workers, flags).check(job)


@pytest.mark.parametrize("data", ["", "{", "[]", "{}", '{"address": 1}'])
def test_a_file_that_names_no_scheduler_is_refused(job, tmp_path, data):
    (tmp_path / "s.json").write_text(data)
    with pytest.raises(RecipeError, match=r"s\.json: names no address of a scheduler; `dask scheduler"):
        Dask(None, [f"--dask_scheduler_file={tmp_path}/s.json"]).check(job)


@pytest.mark.parametrize("flags", [[ADDRESS], ["--dask_scheduler_file=s.json"], ["--dask_client_address=nothing://x"]])
def test_a_scheduler_that_does_not_answer_is_named(job, monkeypatch, tmp_path, flags):
    import dask as library

    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.json").write_text('{"address": "tcp://127.0.0.1:1"}')
    with library.config.set({"distributed.comm.timeouts.connect": "0.2s"}), pytest.raises(CorpusmillError) as raised:
        Dask(None, flags).run(job)
    assert str(raised.value).startswith(f"no Dask scheduler answers at {flags[0].partition('=')[2]}: ")
    assert "Nothing ran. `dask scheduler` prints its address" in str(raised.value)


@pytest.mark.parametrize("address", ["nonsense", "tcp://x", "nothing://x"])
def test_no_client_is_begun_for_what_is_no_address(job, monkeypatch, tmp_path, address):
    """One that was begun would be waited for, a minute long, when the process ends."""
    monkeypatch.setattr(distributed, "Client", lambda **_: pytest.fail("a client was begun"))
    file = tmp_path / "s.json"
    file.write_text(json.dumps({"address": address}))
    for flag in (f"--dask_client_address={address}", f"--dask_scheduler_file={file}"):
        with pytest.raises(CorpusmillError, match="no Dask scheduler answers at"):
            Dask(None, [flag]).run(job)


@pytest.mark.slow
def test_a_cluster_of_our_own_asks_for_no_port_by_number(recwarn):
    """Two runs on a machine are not told of each other."""
    with Dask(1, [])._cluster() as first, Dask(1, [])._cluster() as second:
        ports = {client.scheduler_info()["services"]["dashboard"] for client, _ in (first, second)}
    assert len(ports) == 2
    assert 8787 not in ports
    assert not [w for w in recwarn if "already in use" in str(w.message)]


class Cluster:
    """A client of a cluster of these workers: address -> (threads, bytes of memory, what it answers)."""

    def __init__(self, **workers):
        self.workers = workers

    def scheduler_info(self, n_workers):
        assert n_workers == -1  # all of them: five by default
        found = {a: {"nthreads": t, "memory_limit": m} for a, (t, m, _) in self.workers.items()}
        return {"workers": found}

    def run(self, function, carried, mark):
        return {a: answer or function(carried, mark) for a, (_, _, answer) in self.workers.items()}


GB = 1 << 30


def test_threads_of_a_cluster_are_counted(job):
    wanted = expected(job)
    assert check_cluster(Cluster(a=(1, 8 * GB, None), b=(3, 8 * GB, None)), job, wanted) == 4
    assert check_cluster(Cluster(a=(1, 0, None)), job, wanted) == 1  # without a limit of its own


def test_a_worker_that_cannot_do_the_job_is_named(job):
    wanted, facts = expected(job), facts_here()
    other = dataclasses.replace(facts, python="3.9")
    for worker, error, said in [
        ((1, GB, (other, "")), EngineError, "Dask worker b runs Python 3.9, here 3.11. Nothing ran. Install the same"),
        ((1, GB, (facts, "cannot see /x.")), CorpusmillError, "Dask worker b cannot see /x. Nothing ran."),
        ((2, 600 << 20, (facts, "")), RecipeError, "Dask worker b"),
    ]:
        with pytest.raises(error, match=said):
            check_cluster(Cluster(a=(1, GB, None), b=worker), job, wanted)
    with pytest.raises(
        CorpusmillError, match=r"the Dask cluster has no workers\. Nothing ran\. Start some: `dask worker"
    ):
        check_cluster(Cluster(), job, wanted)


def test_a_worker_that_cannot_load_the_job_says_why(job):
    class Broken(Cluster):
        def run(self, function, carried, mark):
            raise ModuleNotFoundError("No module named 'pipelines'")

    with pytest.raises(
        EngineError, match=r"cannot load the job: ModuleNotFoundError: No module named 'pipelines'\. Nothing ran"
    ):
        check_cluster(Broken(a=(1, GB, None)), job, expected(job))


def run_stage(job, monkeypatch, units_of):
    """How often a stage's units were handed out, where each time `units_of` (how many are pending) of them are done."""
    asked = []

    def run_units(job, number, flags, threads, wanted):
        ready = job.prepare(number)
        asked.append(len(ready.pending))
        for index in ready.pending[: units_of(len(asked))]:
            execute(job, number, ready.task_list, index)

    monkeypatch.setattr(dask, "_run_tasks", run_units)
    dask._run_stage(job, 0, [], 1, None)
    return asked


def test_units_that_were_lost_are_run_again_and_what_is_done_is_not(job, monkeypatch):
    units = len(job.splits())
    assert units >= 3
    assert run_stage(job, monkeypatch, lambda turn: 1 if turn == 1 else units) == [units, units - 1]
    assert run_stage(job, monkeypatch, lambda turn: units) == []


def test_units_that_leave_no_outcome_end_the_run(job, monkeypatch):
    units = len(job.splits())
    with pytest.raises(
        EngineError, match=rf"{units - 1} tasks of `pass 1 of 2: read` were run by Dask {ROUNDS} times and left no"
    ):
        run_stage(job, monkeypatch, lambda turn: turn == 1)


class Handed:
    """In the place of Beam's runner: the options that a pipeline was given."""

    def __init__(self):
        self.closed = 0

    def run_pipeline(self, pipeline, options):
        self.options = options.get_all_options()
        self.client = self
        return self

    def wait_until_finish(self):
        raise self.error

    def close(self):
        self.closed += 1


@pytest.mark.parametrize(("threads", "size"), [(1, 1), (2, 1)])
def test_a_worker_that_a_unit_ends_again_and_again_is_told(job, monkeypatch, threads, size):
    from apache_beam.runners import runner
    from apache_beam.runners.dask import dask_runner
    from distributed.scheduler import KilledWorker

    handed = type("Runner", (Handed, runner.PipelineRunner), {})()
    handed.error = KilledWorker("unit", distributed.scheduler.WorkerState(address="tcp://w:1", status=distributed.Status.running,
        pid=1, name="w", nthreads=1, memory_limit=1, local_directory="", nanny="", server_id="w"), 3)  # fmt: skip
    monkeypatch.setattr(dask_runner, "DaskRunner", lambda: handed)
    with pytest.raises(
        CorpusmillError, match=r"a task of `pass 1 of 2: read` ended its worker four times: .*"
    ) as raised:
        dask._run_tasks(job, 0, [], threads, expected(job))
    assert "lower output.shard_bytes" in str(raised.value)
    assert (handed.options["partition_size"], handed.closed) == (size, 1)


def test_many_units_are_dealt_several_at_a_time(job, monkeypatch):
    from apache_beam.runners import runner
    from apache_beam.runners.dask import dask_runner

    handed = type("Runner", (Handed, runner.PipelineRunner), {})()
    handed.error = SystemExit()
    monkeypatch.setattr(dask_runner, "DaskRunner", lambda: handed)
    monkeypatch.setattr(dask, "TASKS_PER_THREAD", 1)
    assert TASKS_PER_THREAD > 1
    with pytest.raises(SystemExit):
        dask._run_tasks(job, 0, [], 1, expected(job))
    assert handed.options["partition_size"] == len(job.splits())
    assert handed.closed == 1


def test_the_mark_of_a_run_is_taken_away_where_the_cluster_is_refused(job, monkeypatch):
    import contextlib

    @contextlib.contextmanager
    def cluster(self):
        yield Cluster(), []

    monkeypatch.setattr(Dask, "_cluster", cluster)
    with pytest.raises(CorpusmillError, match="no workers"):
        Dask(None, [ADDRESS]).run(job)
    assert os.listdir(os.path.dirname(worker_checks._mark(job, "x"))) == []
