"""Units that are done while Beam is loaded are done once, and fail as any."""

import threading

import pytest

from corpusmill.pipelines.engine import tasks
from corpusmill.pipelines.engine.open_job import open_job
from corpusmill.pipelines.engine.tasks import execute
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.pipelines.runners import head_start
from corpusmill.pipelines.runners.head_start import HeadStart
from tests.corpora import rows, write_recipe, write_shards


@pytest.fixture
def job(tmp_path):
    write_shards(tmp_path / "raw", rows(60), 6)
    return open_job(load(write_recipe(tmp_path, ["exact"])))


def test_what_is_in_work_when_the_block_ends_goes_last(job, monkeypatch):
    go, begun, done = threading.Event(), threading.Event(), []

    def watched(job, stage, plan, index):
        done.append(index)
        if len(done) == 3:
            begun.set()
            assert go.wait(60)
        execute(job, stage, plan, index)

    monkeypatch.setattr(head_start, "execute", watched)
    order = list(job.prepare(0).pending)
    with HeadStart(job, 0, 1):
        assert begun.wait(60)
    assert done == order[:3]
    assert job.begin(0).pending == [*order[3:], order[2]]
    go.set()


def test_an_error_is_told_when_the_block_ends_and_stops_the_rest(job, monkeypatch):
    tried = []

    def fails(job, stage, plan, index):
        tried.append(index)
        raise ZeroDivisionError("of a unit")

    monkeypatch.setattr(head_start, "execute", fails)
    with pytest.raises(ZeroDivisionError, match="of a unit"), HeadStart(job, 0, 1):
        for thread in threading.enumerate():
            if thread.name == "head start":
                thread.join()
    assert len(tried) == 1


def test_a_fault_of_the_block_itself_is_not_covered(job, monkeypatch):
    monkeypatch.setattr(head_start, "execute", lambda *_: 1 / 0)
    with pytest.raises(KeyError, match="of the block"), HeadStart(job, 0, 1):
        raise KeyError("of the block")


def test_the_run_behind_it_gives_the_same_bytes(tmp_path, monkeypatch):
    from corpusmill.pipelines.runners import local

    monkeypatch.setattr(local, "SMALL", 0)
    contents = set()
    for workers in (1, 2, 3):
        folder = tmp_path / str(workers)
        write_shards(folder / "raw", rows(60), 6)
        contents.add(run(load(write_recipe(folder, ["exact"])), workers=workers).manifest["content"])
    assert len(contents) == 1


def test_a_unit_that_a_thread_is_at_is_waited_for_and_not_done_twice(job, monkeypatch):
    go, begun, done = threading.Event(), threading.Event(), []
    real = tasks.KINDS["pass"]

    def watched(*args):
        done.append(args)
        begun.set()
        assert go.wait(60)
        return real(*args)

    monkeypatch.setitem(tasks.KINDS, "pass", watched)
    ready = job.prepare(0)
    threads = [threading.Thread(target=execute, args=(job, 0, ready.task_list, 0)) for _ in range(2)]
    threads[0].start()
    assert begun.wait(60)
    threads[1].start()
    threads[1].join(0.2)
    assert threads[1].is_alive()
    go.set()
    for thread in threads:
        thread.join()
    assert len(done) == 1
    assert 0 not in job.refresh(0).pending
