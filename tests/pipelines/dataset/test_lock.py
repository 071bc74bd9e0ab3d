import json
import subprocess
import sys
import time

import pytest

from corpusmill.pipelines.dataset import lock
from corpusmill.pipelines.dataset.results import Store
from corpusmill.transforms import storage
from corpusmill.transforms.errors import LockedError
from tests import google_storage, objects


@pytest.fixture(params=["s3", "gs"])
def dataset(request, tmp_path):
    if request.param == "s3":
        pytest.importorskip("moto", reason="moto is not installed")
    else:
        pytest.importorskip("google.cloud.storage", reason="google-cloud-storage is not installed")
    with objects.serving() if request.param == "s3" else google_storage.serving():
        yield f"{request.param}://corpora/{tmp_path.name}"


def record(dataset):
    return json.loads(storage.read_bytes(f"{dataset}/.corpusmill/lock"))


def write(dataset, **changes):
    storage.write_atomic(f"{dataset}/.corpusmill/lock", json.dumps({**record(dataset), **changes}).encode())


def test_the_lock_is_one_and_names_its_holder(dataset):
    with Store(dataset).lock():
        lock.confirm(dataset)
        told = pytest.raises(LockedError, match=r"written by process \d+ on .* sign of life \d+ seconds ago")
        with told, Store(dataset).lock():
            pass
    assert record(dataset) == {"holder": ""}
    with Store(dataset).lock():
        pass


def test_the_lock_of_another_machine_is_taken_when_it_gives_no_sign_of_life(dataset, monkeypatch):
    with Store(dataset).lock():
        write(dataset, boot="another", token="other")
        with pytest.raises(LockedError), Store(dataset).lock():
            pass
        monkeypatch.setattr(lock, "LEASE", 0.5)
        time.sleep(2.1)  # a store may know the time to the second
        with Store(dataset).lock():
            assert record(dataset)["token"] != "other"


def test_a_holder_that_was_cut_off_learns_it_before_it_commits(dataset, monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.0)
    monkeypatch.setattr(lock._Lease, "_renew", lambda self: None)
    with Store(dataset).lock():
        lock.confirm(dataset)
        write(dataset, token="another")
        with pytest.raises(LockedError, match="another process took the lock"):
            lock.confirm(dataset)
    assert record(dataset)["token"] == "another"  # it is not ours to free


def test_the_holder_renews_it(dataset, monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.05)
    with Store(dataset).lock():
        deadline = time.monotonic() + 120
        while record(dataset)["beat"] < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert record(dataset)["beat"] >= 2
        lock.confirm(dataset)


def test_the_lock_of_a_process_killed_on_this_machine_is_free_at_once(dataset):
    code = (
        "import sys, time; from corpusmill.pipelines.dataset.results import Store\n"
        f"with Store({dataset!r}).lock():\n    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(LockedError, match=f"process {process.pid}"), Store(dataset).lock():
            pass
        process.kill()
    with Store(dataset).lock():
        pass
