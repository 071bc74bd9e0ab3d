"""Runs that nobody waits for: known by their id, committed any number of times, never over a takedown."""

import os
import threading

import pytest

from corpusmill.pipelines.dataset import submissions
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.dataset.submissions import runs
from corpusmill.pipelines.engine.open_job import open_job
from corpusmill.pipelines.operations import gc
from corpusmill.pipelines.operations.forget import Takedown, forget
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.pipelines.runners import submit as detached
from corpusmill.pipelines.runners.base import Engine
from corpusmill.pipelines.runners.submit import commit_once, load_run, run_id, save_run, submit
from corpusmill.transforms.errors import CorpusmillError, DatasetError, LockedError, RecipeError
from tests.corpora import rows, write_recipe, write_shards
from tests.faults.serial import Alone, Serial, serially


@pytest.fixture(autouse=True)
def _engine():
    with serially(Alone):
        yield


@pytest.fixture
def recipe(tmp_path):
    write_shards(tmp_path / "raw", rows(20), 2)
    return load(write_recipe(tmp_path, ["exact"]))


def changed(recipe, **output):
    return load(recipe.base_dir / "recipe.yaml", [f"output.{k}={v}" for k, v in output.items()])


def ids(dataset, number=None):
    import pyarrow.parquet as pq

    return {i for f in Dataset(dataset).files(number) for i in pq.read_table(f, columns=["id"])["id"].to_pylist()}


def test_a_run_is_stored_whole_and_named_by_its_work(recipe):
    job = open_job(recipe)
    first = save_run(job)
    assert (save_run(job), len(first), runs(job.dataset)) == (first, detached.RUN_ID, [first])
    again = load_run(job.dataset)
    assert again.work_digest() == job.work_digest()
    assert run_id(again) == first
    assert again.recipe.digest() == recipe.digest()
    # other work has another id; the newest is the default
    other = save_run(open_job(changed(recipe, level=9)))
    os.utime(submissions.path_of(job.dataset, first), (1, 1))
    assert runs(job.dataset) == [first, other]
    assert run_id(load_run(job.dataset)) == other
    assert run_id(load_run(job.dataset, first)) == first


def test_what_is_no_run_is_said(recipe, tmp_path):
    with pytest.raises(DatasetError, match="has no submitted run"):
        load_run(str(tmp_path / "out"))
    name = save_run(open_job(recipe))
    for wrong in ("", "nope", f"../runs/{name}", name[:6], f"{name}.json"):
        with pytest.raises(DatasetError, match=rf"has no run {wrong}\. Submitted runs: {name}"):
            load_run(recipe.dataset, wrong)


@pytest.mark.parametrize("data", [b"", b'{"recipe": {', b"[]", b"null", b'{"recipe": {}}', b"\xff\xfe"])
def test_a_damaged_run_is_told_by_its_file(recipe, data):
    name = save_run(open_job(recipe))
    with open(submissions.path_of(recipe.dataset, name), "wb") as file:
        file.write(data)
    with pytest.raises(DatasetError, match=rf"runs/{name}\.json: damaged"):
        load_run(recipe.dataset, name)


def test_a_step_of_another_version_is_not_committed(recipe):
    name = save_run(open_job(recipe))
    submission = submissions.read(recipe.dataset, name)
    submission["recipe"]["steps"][0]["version"] += 1
    submissions.write(recipe.dataset, name, submission)
    with pytest.raises(DatasetError, match=r"the run used exact@2, here is exact@1"):
        load_run(recipe.dataset, name)


def test_submit_then_commit_any_number_of_times(recipe):
    run_name, job_name = submit(recipe, "local", options=["--job_name=job-1"])
    assert job_name == "job-1"
    assert not os.path.exists(os.path.join(recipe.dataset, "snapshots"))
    made = [commit_once(load_run(recipe.dataset, run_name)) for _ in range(3)]
    assert [m["number"] for m in made] == [1, 1, 1]
    assert Dataset(recipe.dataset).verify() == []
    # a run that waits finds the same work committed; and nothing is new for another submission
    assert not run(recipe, workers=1).committed
    assert submit(recipe, "local") is None


def test_an_engine_that_does_not_go_on_alone_is_refused_before_anything(recipe):
    with serially(Serial), pytest.raises(RecipeError, match="portable, dataflow"):
        submit(recipe, "local")
    assert not os.path.exists(recipe.dataset)


def test_a_dataset_that_is_being_written_takes_no_submission(recipe):
    with open_job(recipe).store.lock(), pytest.raises(LockedError):
        submit(recipe, "local")
    assert runs(recipe.dataset) == []


def test_what_the_engine_refuses_is_no_run(recipe, monkeypatch):
    def refuse(self: Engine, job):
        raise RecipeError("no")

    monkeypatch.setattr(Alone, "check", refuse)
    with pytest.raises(RecipeError, match=r"^no$"):
        submit(recipe, "local")
    assert runs(recipe.dataset) == []


def test_a_run_that_may_have_been_handed_over_stays_and_is_named(recipe, monkeypatch):
    def lose(self: Engine, job):
        raise ConnectionError("the answer is lost")

    monkeypatch.setattr(Alone, "submit", lose)
    with pytest.raises(CorpusmillError, match="local failed: ConnectionError: the answer is lost") as raised:
        submit(recipe, "local")
    (run,) = runs(recipe.dataset)
    assert f"a job of run {run} all the same; if not, submit again." in str(raised.value)


def test_a_run_that_is_not_done_names_the_stage(recipe):
    job = open_job(recipe)
    name = save_run(job)
    with pytest.raises(DatasetError, match=rf"run {name} is not finished: 2 tasks of `pass 1 of 2: read`"):
        commit_once(job)
    assert not os.path.exists(os.path.join(recipe.dataset, "snapshots"))


def test_a_late_commit_does_not_undo_what_was_committed_since(recipe):
    """As of an engine that runs the last step of its job twice."""
    first, _ = submit(recipe, "local")
    assert commit_once(load_run(recipe.dataset, first))["number"] == 1
    other, _ = submit(changed(recipe, level=9), "local")
    assert commit_once(load_run(recipe.dataset, other))["number"] == 2
    assert commit_once(load_run(recipe.dataset, first))["number"] == 1
    assert Dataset(recipe.dataset).numbers == [1, 2]
    # who wants the first one again says so
    again, _ = submit(recipe, "local")
    assert again == first
    assert commit_once(load_run(recipe.dataset, first))["number"] == 3
    assert commit_once(load_run(recipe.dataset, other))["number"] == 2
    assert Dataset(recipe.dataset).manifest(3)["content"] == Dataset(recipe.dataset).manifest(1)["content"]


def test_a_run_that_lost_the_race_commits_on_top(recipe):
    first, other = submit(recipe, "local")[0], submit(changed(recipe, level=9), "local")[0]
    assert [commit_once(load_run(recipe.dataset, r))["number"] for r in (other, first, other, first)] == [1, 2, 1, 2]


def test_two_at_once_make_one_snapshot(recipe):
    name, _ = submit(recipe, "local")
    ends, start = [], threading.Barrier(4)

    def one():
        job = load_run(recipe.dataset, name)
        start.wait()
        try:
            ends.append(commit_once(job)["number"])
        except CorpusmillError as error:
            ends.append(type(error))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(ends) <= {1, LockedError}
    assert 1 in ends
    assert Dataset(recipe.dataset).numbers == [1]
    assert Dataset(recipe.dataset).verify() == []


def test_a_run_that_is_committed_behind_the_look_for_it_is_not_committed_again(recipe, monkeypatch):
    name, _ = submit(recipe, "local")
    job, turns, current = load_run(recipe.dataset, name), [], detached.suppression.current

    def meanwhile(dataset):  # the job has been looked for among the snapshots
        if not turns:
            turns.append(1)
            turns.append(commit_once(load_run(recipe.dataset, name))["number"])
        return current(dataset)

    monkeypatch.setattr(detached.suppression, "current", meanwhile)
    with pytest.raises(LockedError, match="another process committed snapshot 1 meanwhile"):
        commit_once(job)
    assert turns == [1, 1]
    assert Dataset(recipe.dataset).numbers == [1]


@pytest.mark.parametrize("committed", [True, False])
def test_a_takedown_is_not_undone_by_a_run_that_was_submitted_before(recipe, committed):
    run(changed(recipe, level=9), workers=1)
    name, _ = submit(recipe, "local")
    gone = sorted(ids(recipe.dataset))[3]
    if committed:
        assert commit_once(load_run(recipe.dataset, name))["number"] == 2
    forget(recipe.dataset, Takedown(ids=(gone,)), recipe, workers=1)
    newest = Dataset(recipe.dataset).numbers[-1]
    if committed:
        assert commit_once(load_run(recipe.dataset, name))["number"] == 2
    else:
        with pytest.raises(DatasetError, match=rf"taken out since run {name} was submitted"):
            commit_once(load_run(recipe.dataset, name))
    assert Dataset(recipe.dataset).numbers[-1] == newest
    assert gone not in ids(recipe.dataset)


def test_a_run_whose_snapshot_was_collected_is_none_any_more(recipe):
    name, _ = submit(recipe, "local")
    commit_once(load_run(recipe.dataset, name))
    write_shards(recipe.base_dir / "raw", rows(5, seed=9), 1, first=7)
    run(recipe, workers=1)
    gc.collect(recipe.dataset, keep=1)
    with pytest.raises(DatasetError, match="has no submitted run"):
        commit_once(load_run(recipe.dataset, name))
    assert Dataset(recipe.dataset).numbers == [2]
