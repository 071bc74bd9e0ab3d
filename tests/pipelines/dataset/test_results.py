import contextlib
import multiprocessing
import os

import pytest

from corpusmill.pipelines.dataset.results import MANY, Store, request_of
from corpusmill.privacy.secure import store as secure
from corpusmill.transforms import storage
from corpusmill.transforms.errors import LockedError
from tests import objects


def test_an_outcome_counts_only_while_its_files_are_there(tmp_path):
    store = Store(str(tmp_path))
    path = store.work("abcd", "x.txt")
    assert store.outcome("r1") is None
    os.makedirs(os.path.dirname(store.path(path)))
    open(store.path(path), "w").close()
    store.finish("r1", {"files": {"x": {"path": path}}, "rows": 3})
    assert store.outcome("r1")["rows"] == 3
    assert store.done("r1")
    os.unlink(store.path(path))
    assert store.outcome("r1") is None


def test_a_torn_outcome_is_no_outcome(tmp_path):
    store = Store(str(tmp_path))
    store.finish("r1", {"files": {}, "rows": 3})
    (file,) = (tmp_path / ".corpusmill" / "done").rglob("*.json")
    file.write_text('{"rows": 3, "fil')
    assert store.outcome("r1") is None


def test_requests_follow_their_parts():
    assert request_of("a", {"x": 1, "y": [2]}) == request_of("a", {"y": [2], "x": 1})
    assert len({request_of("a", "b"), request_of("ab"), request_of("b", "a"), request_of(["a", "b"])}) == 4


def test_plans_and_failures_come_back(tmp_path):
    store = Store(str(tmp_path))
    digest = store.save_task_list({"a": [1, 2]})
    assert store.save_task_list({"a": [1, 2]}) == digest
    assert store.load_task_list(digest) == {"a": [1, 2]}
    store.note_failure("BadFileError", "first")
    store.note_failure("BadFileError", "second")
    assert store.take_failure() == ("BadFileError", "first")
    assert store.take_failure() is None
    store.announce({"stage": 1})
    assert store.announced() == {"stage": 1}
    store.announce(None)
    assert store.announced() is None


def _hold(path, held, release):
    with Store(path).lock():
        held.set()
        release.wait(300)


def test_the_lock_names_its_holder_and_dies_with_it(tmp_path):
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(str(tmp_path), held, release))
    process.start()
    assert held.wait(60)
    with pytest.raises(LockedError, match=f"process {process.pid}"), Store(str(tmp_path)).lock():
        pass
    process.kill()
    process.join()
    with Store(str(tmp_path)).lock():
        pass


@pytest.mark.parametrize("take", [lambda p: Store(p).lock(), lambda p: contextlib.closing(secure.Store(p))])
def test_a_lock_that_was_let_go_does_not_stay_with_a_process_that_was_just_started(tmp_path, take):
    """Between fork and exec, a process has all files of the one that starts it."""
    end, started = os.pipe()
    with take(str(tmp_path)):
        child = os.fork()
        if not child:
            os.close(started)
            os.read(end, 1)
            os._exit(0)
    try:
        with take(str(tmp_path)):
            pass
    finally:
        os.close(started)
        os.waitpid(child, 0)
        os.close(end)


@pytest.fixture
def remote():
    pytest.importorskip("moto", reason="moto is not installed")
    with objects.serving() as server:
        yield server


@pytest.mark.parametrize("count", [5, MANY + 6])
def test_outcomes_in_an_object_store_are_asked_for_together_and_once(remote, count):
    store = Store("s3://corpora/out")
    for i in range(count):
        path = store.work(f"{i:040x}", "x")
        if i != 3:
            storage.write_atomic(store.path(path), b"")
        if i != 2:
            store.finish(f"{i:040x}", {"files": {"x": {"path": path}}, "rows": i})
    requests = [f"{i:040x}" for i in range(count)]
    found = store.outcomes(requests)
    assert [None if o is None else o["rows"] for o in found] == [None if i in (2, 3) else i for i in range(count)]
    assert found == [store.outcome(r) for r in requests]
    assert store.undone(requests) == {requests[2]}
    before = len(remote.requests)
    assert store.outcomes(requests[4:]) == found[4:]
    assert len(remote.requests) == before
    storage.remove(store.path(store.work(requests[4], "x")))
    with store.lock():  # others may have written or removed
        assert store.outcomes(requests)[4] is None
