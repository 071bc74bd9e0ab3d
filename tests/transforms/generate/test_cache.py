"""The cache of answers: kept before the next is asked for, forgotten with their records, shared by processes."""

import os
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.generate.cache import CHUNK, RequestCache, request_cache
from corpusmill.transforms.generate.model import Request


class Model:
    """Answers in capitals; fails at the text `stop`. Notes each call's texts."""

    digest = "d" * 64

    def __init__(self, stop=None):
        self.calls, self.stop = [], stop

    def complete(self, requests):
        self.calls.append([r.prompt for r in requests])
        if self.stop in self.calls[-1]:
            raise ConnectionError
        return [r.prompt.upper() for r in requests]


class OneByOne(Model):
    """A text API: each answer is handed over as it comes."""

    def complete_each(self, requests, keep):
        for place, request in enumerate(requests):
            keep(place, self.complete([request])[0])


def requests(*texts):
    return [Request(prompt=t, key=1, record=f"id-{t}") for t in texts]


@pytest.fixture
def cache(tmp_path):
    made = RequestCache(str(tmp_path / "folder" / "requests.sqlite"))
    yield made
    made.close()


class Slow(int):
    """A number whose additions take time, as one does that another thread breaks into."""

    def __add__(self, other):
        time.sleep(0.1)
        return Slow(int(self) + other)


def test_answers_that_threads_ask_for_at_once_are_all_counted(cache):
    cache.asked = Slow(0)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda text: cache.complete(Model(), requests(text)), "abcd"))
    assert cache.asked == len(cache) == 4


def test_an_answer_is_asked_for_once_by_this_and_by_later_processes(cache):
    model = Model()
    assert cache.complete(model, requests("a", "b", "a")) == ["A", "B", "A"]
    assert model.calls == [["a", "b"]]
    assert (cache.asked, len(cache)) == (2, 2)
    assert cache.complete(model, requests("b", "c")) == ["B", "C"]
    again = RequestCache(cache.path)
    assert again.complete(model, requests("c", "a")) == ["C", "A"]
    assert (again.asked, again.found) == (0, 2)
    assert model.calls == [["a", "b"], ["c"]]
    again.close()
    # another model is asked
    other = Model()
    other.digest = "e" * 64
    cache.complete(other, requests("a"))
    assert other.calls == [["a"]]
    assert cache.complete(model, []) == []


def test_what_was_answered_before_a_failure_is_kept(cache):
    api = OneByOne(stop="c")
    with pytest.raises(ConnectionError):
        cache.complete(api, requests("a", "b", "c", "d"))
    assert len(cache) == 2
    api.stop, api.calls = None, []
    assert cache.complete(api, requests("a", "b", "c", "d")) == ["A", "B", "C", "D"]
    assert api.calls == [["c"], ["d"]]
    # a local model's are kept by chunks
    texts = [f"t{i:03}" for i in range(2 * CHUNK)]
    local = Model(stop=texts[-1])
    with pytest.raises(ConnectionError):
        cache.complete(local, requests(*texts))
    assert len(cache) == 4 + CHUNK
    assert [len(c) for c in local.calls] == [CHUNK, CHUNK]


def test_entries_are_kept_all_or_none(cache):
    cache.put([(b"1", "r", "x")])
    with pytest.raises(sqlite3.Error):
        cache.put([(b"2", "r", "y"), (b"3", "r", object())])
    assert cache.get([b"1", b"2", b"3"]) == {b"1": "x"}
    cache.put([(b"1", "other", "later"), (b"4", "s", "z")])  # the first answer stays
    assert cache.get([b"1", b"4"]) == {b"1": "x", b"4": "z"}
    assert cache.records() == ["r", "s"]


def test_many_are_looked_up_at_once(cache):
    cache.put([(str(i).encode(), "r", str(i)) for i in range(1_200)])
    asked = [str(i).encode() for i in range(1_300)]
    assert cache.get(asked) == {str(i).encode(): str(i) for i in range(1_200)}
    assert cache.get([]) == {}


def test_what_is_forgotten_is_in_no_byte_of_the_file(cache, tmp_path):
    secret = "the text about somebody " * 40
    cache.put([(b"p1", "id-1", secret), (b"p2", "id-2", "another"), (b"p3", "id-1", secret + "!")])
    assert cache.forget(["id-1", "nobody"]) == 2
    assert cache.forget(["id-1"]) == 0
    assert (cache.get([b"p1", b"p2"]), cache.records()) == ({b"p2": "another"}, ["id-2"])
    cache.close()
    for path in (tmp_path / "folder").iterdir():
        assert b"somebody" not in path.read_bytes()
        assert b"id-1" not in path.read_bytes()


def test_a_takedown_that_fails_leaves_the_cache_in_use(cache):
    cache.put([(b"p", "r", "x")])
    with pytest.raises(sqlite3.Error):
        cache.forget(["r", object()])
    assert cache.get([b"p"]) == {b"p": "x"}
    assert cache.forget(["r"]) == 1


def test_a_process_has_one_cache_of_a_path_and_another_process_its_own(tmp_path):
    path = str(tmp_path / "requests.sqlite")
    cache = RequestCache.at(path)
    assert RequestCache.at(os.path.join(str(tmp_path), ".", "requests.sqlite")) is cache
    cache.put([(b"p", "r", "x")])
    code = (
        "import sys; from corpusmill.transforms.generate.cache import RequestCache; c = RequestCache.at(sys.argv[1]); "
        "assert c.get([b'p']) == {b'p': 'x'}; c.put([(b'q', 's', 'y')])"
    )
    subprocess.run([sys.executable, "-c", code, path], check=True)
    assert cache.get([b"q"]) == {b"q": "y"}
    cache.close()
    other = RequestCache.at(path)
    assert other is not cache
    assert len(other) == 2
    other.close()


def test_nothing_was_asked_where_there_is_no_file(tmp_path):
    path = str(tmp_path / "requests.sqlite")
    assert request_cache(path) is None
    assert not os.path.exists(path)
    RequestCache(path).close()
    found = request_cache(path)
    assert len(found) == 0
    found.close()


@pytest.mark.parametrize("data", [b"no database at all, but some text", b"SQLite format 3\0" + b"\xff" * 200])
def test_a_file_that_is_no_cache_is_told(tmp_path, data):
    path = tmp_path / "requests.sqlite"
    path.write_bytes(data)
    with pytest.raises(
        BadFileError, match=r"requests\.sqlite: is no request cache \(.*delete it; answers are then asked for"
    ):
        RequestCache(str(path))
