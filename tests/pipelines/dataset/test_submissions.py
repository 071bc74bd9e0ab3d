"""Runs in progress elsewhere: nothing that they need is collected, until they are committed, void or given up."""

import json
import os
import shutil

import pytest

from corpusmill.pipelines.dataset import submissions
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.dataset.submissions import committed_as, ended, runs, waiting
from corpusmill.pipelines.operations import gc
from corpusmill.pipelines.operations.forget import Takedown, forget
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.pipelines.runners.submit import commit_once, commit_run, load_run, submit
from corpusmill.pipelines.runners.worker_checks import expected
from corpusmill.transforms.errors import DatasetError, LockedError, RecipeError
from tests.corpora import rows, write_recipe, write_shards
from tests.faults.deaths_of_gc import killed_collection
from tests.faults.serial import Serial, serially


class Slow(Serial):
    """An engine that goes on alone, but has not got beyond a run's first stage when it has taken it."""

    def submit(self, job):
        stages, job.__dict__["stages"] = job.stages, job.stages[:1]
        self.run(job)
        job.__dict__["stages"] = stages
        return ""


@pytest.fixture(autouse=True)
def _engine():
    with serially(Slow):
        yield


@pytest.fixture
def recipe(tmp_path):
    write_shards(tmp_path / "raw", rows(20), 2)
    return load(write_recipe(tmp_path, ["exact"]))


def refresh(recipe, n):
    """A snapshot of other work: a file more, and another form of what there was."""
    write_shards(recipe.base_dir / "raw", rows(5, seed=n), 1, first=n)
    assert run(load(recipe.base_dir / "recipe.yaml", [f"output.level={n}"]), workers=1).committed


def files(dataset):
    return {os.path.join(d, n) for d, _, names in os.walk(dataset) for n in names if n != "lock"}


def go_on(dataset, name):
    """What the engine does of a run later: the stages behind the first, and the commit."""
    job = load_run(dataset, name)
    done = len(job.refresh(0).pending)
    Serial(1, []).run(job)
    return done, commit_once(job)


@pytest.mark.parametrize("reused", [False, True])
def test_what_a_run_in_progress_needs_is_not_collected(recipe, reused):
    if reused:  # its first stage is that of a snapshot which is removed meanwhile
        refresh(recipe, 7)
        os.remove(recipe.base_dir / "raw" / "part-007.parquet")
        recipe = load(recipe.base_dir / "recipe.yaml", ["output.level=7"])
    name, _ = submit(recipe, "local")
    expected(load_run(recipe.dataset, name))
    work = {f for f in files(recipe.dataset) if "/.corpusmill/done/" in f or "/.corpusmill/work/" in f}
    for n in (8, 9):
        refresh(recipe, n)
    garbage = gc.collect(recipe.dataset, keep=1)
    assert garbage.waiting == [name]
    assert garbage.to_dict()["waiting"] == [name]
    assert garbage.files["published"]
    assert Dataset(recipe.dataset).numbers == [3 if reused else 2]
    assert work <= files(recipe.dataset)
    pending, manifest = go_on(recipe.dataset, name)
    assert pending == 0
    assert Dataset(recipe.dataset).verify() == []
    # committed, it is waited for no longer
    assert os.listdir(os.path.join(recipe.dataset, ".corpusmill", "marks"))
    assert gc.collect(recipe.dataset, keep=1).files["work"]
    assert not os.path.exists(os.path.join(recipe.dataset, ".corpusmill", "marks"))
    assert (runs(recipe.dataset), waiting(recipe.dataset)) == ([name], [])
    # and with its snapshot its note goes
    refresh(recipe, 10)
    assert commit_run(recipe.dataset, name)[1]["number"] == manifest["number"]
    assert gc.collect(recipe.dataset, keep=1).files["runs"] == [f".corpusmill/runs/{name}.json"]
    assert runs(recipe.dataset) == []
    assert Dataset(recipe.dataset).verify() == []


def test_a_run_that_is_given_up_keeps_nothing(recipe):
    name, _ = submit(recipe, "local")
    job = load_run(recipe.dataset, name)
    for n in (8, 9):
        refresh(recipe, n)
    before = files(recipe.dataset)
    dry = gc.collect(recipe.dataset, keep=1, dry_run=True, give_up=[name])
    assert files(recipe.dataset) == before
    assert waiting(recipe.dataset) == [name]
    done = gc.collect(recipe.dataset, keep=1, give_up=[name])
    assert done.to_dict() == dry.to_dict()
    assert done.files["runs"]
    assert done.files["work"]
    assert (done.waiting, runs(recipe.dataset)) == ([], [])
    # its engine, which was not stopped, is told
    with pytest.raises(DatasetError, match=r"the work of this run was removed by `corpusmill gc`: .*given up"):
        commit_once(job)
    with pytest.raises(DatasetError, match="has no submitted run"):
        gc.collect(recipe.dataset, give_up=[name])
    # and its work can be submitted again
    assert submit(recipe, "local")[0] == submit(recipe, "local")[0]


def test_a_run_that_is_not_there_cannot_be_given_up(recipe):
    name, _ = submit(recipe, "local")
    refresh(recipe, 8)
    before = files(recipe.dataset)
    with pytest.raises(DatasetError, match=rf"has no run nope\. Submitted runs: {name}\."):
        gc.collect(recipe.dataset, keep=1, give_up=[name, "nope"])
    assert files(recipe.dataset) == before


def test_a_run_that_a_takedown_made_void_keeps_nothing(recipe):
    refresh(recipe, 8)
    name, _ = submit(recipe, "local")
    report = forget(recipe.dataset, Takedown(ids=("0-00001",), purge=True), workers=1)
    assert report["void_runs"] == [name]
    text = (recipe.base_dir / "out" / "takedowns").glob("*.md").__next__().read_text()
    assert f"Submitted runs that were in progress: {name}. Stop them" in text
    assert (waiting(recipe.dataset), runs(recipe.dataset)) == ([], [])
    # one that knows of the takedown is waited for, but not by another purge
    name, _ = submit(load(recipe.base_dir / "recipe.yaml", ["output.level=7"]), "local")
    assert gc.collect(recipe.dataset, keep=1).waiting == [name]
    first = report["void_runs"]
    assert forget(recipe.dataset, Takedown(ids=("0-00001",)), workers=1)["void_runs"] == first
    again = forget(recipe.dataset, Takedown(ids=("0-00001",), purge=True), workers=1)
    assert set(again["void_runs"]) == {*first, name}
    assert runs(recipe.dataset) == []


def test_a_damaged_note_may_be_one_of_a_run_in_progress(recipe):
    name, _ = submit(recipe, "local")
    refresh(recipe, 8)
    with open(submissions.path_of(recipe.dataset, name), "w") as file:
        file.write("{")
    assert gc.collect(recipe.dataset, keep=1).waiting == [name]
    assert ended(recipe.dataset, set()) == []
    assert gc.collect(recipe.dataset, keep=1, give_up=[name]).waiting == []


def test_the_work_of_a_committed_run_may_be_gone_and_it_is_still_found_committed(recipe):
    name, _ = submit(recipe, "local")
    _, manifest = go_on(recipe.dataset, name)
    refresh(recipe, 8)
    gc.collect(recipe.dataset, keep=2)
    with pytest.raises(DatasetError, match=rf"the work of run {name} was removed"):
        load_run(recipe.dataset, name)
    assert [commit_run(recipe.dataset, r)[1]["number"] for r in (name, None)] == [manifest["number"]] * 2
    assert Dataset(recipe.dataset).numbers == [1, 2]


def test_death_between_removals_leaves_no_run_that_is_waited_for_in_vain(recipe, monkeypatch):
    name, _ = submit(recipe, "local")
    go_on(recipe.dataset, name)
    refresh(recipe, 8)
    total = len([n for names in gc.collect(recipe.dataset, 1, dry_run=True).files.values() for n in names])
    assert total > 4
    whole = recipe.base_dir / "whole"
    shutil.copytree(recipe.dataset, whole)
    for deaths in (0, 1, 2, 3, total // 2, total - 1):
        shutil.rmtree(recipe.dataset)
        shutil.copytree(whole, recipe.dataset)
        killed_collection(recipe.dataset, deaths, monkeypatch)
        assert waiting(recipe.dataset) == []


def test_what_the_engine_did_not_take_is_no_run(recipe, monkeypatch):
    def refuse(self, job):
        raise RecipeError("no")

    name, _ = submit(recipe, "local")
    monkeypatch.setattr(Slow, "submit", refuse)
    with pytest.raises(RecipeError, match=r"^no$"):
        submit(recipe, "local")
    assert runs(recipe.dataset) == [name]  # of the first time, which may be in progress
    with pytest.raises(RecipeError, match=r"^no$"):
        submit(load(recipe.base_dir / "recipe.yaml", ["output.level=9"]), "local")
    assert runs(recipe.dataset) == [name]


def test_a_snapshot_is_known_by_the_work_that_made_it(recipe):
    assert committed_as(recipe.dataset, "", 0) is None
    refresh(recipe, 8)
    work = Dataset(recipe.dataset).manifest()["work"]
    assert [committed_as(recipe.dataset, w, n) for w, n in ((work, 0), (work[:12], 0), (work, 1), ("no", 0))] == [
        1,
        1,
        None,
        None,
    ]


def test_the_last_step_of_a_job_waits_for_who_writes_the_dataset(recipe, monkeypatch):
    from corpusmill.pipelines.runners import graph

    name, _ = submit(recipe, "local")
    job = load_run(recipe.dataset, name)
    Serial(1, []).run(job)
    held = job.store.lock()
    held.__enter__()
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            held.__exit__(None, None, None)

    monkeypatch.setattr(graph.time, "sleep", sleep)
    publish = graph._Publish(job)
    assert list(publish.process(0)) == [1]
    assert waits == [1.0, 2.0, 4.0]
    assert list(publish.process(0)) == [1]
    # in vain: said as it is, and the run is there to be committed
    refresh(recipe, 8)
    again, _ = submit(recipe, "local")
    job = load_run(recipe.dataset, again)
    with job.store.lock(), pytest.raises(LockedError):
        list(graph._Publish(job).process(0))
    assert sum(waits[3:]) == sum(graph.LOCK_WAITS) >= 600
    assert json.loads((recipe.base_dir / "out" / ".corpusmill" / "failed.json").read_text())["kind"] == "LockedError"
