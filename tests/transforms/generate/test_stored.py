import pytest

from corpusmill.transforms import storage
from corpusmill.transforms.generate.cache import RequestCache, request_cache
from corpusmill.transforms.generate.model import Request
from corpusmill.transforms.generate.stored import StoredCache
from tests import objects

PATH = "s3://corpora/out/.corpusmill/requests.sqlite"


class Echo:
    """A model that answers with what it is asked, and counts."""

    digest, asked = "echo", 0

    def complete(self, requests):
        self.asked += len(requests)
        return [f"{r.record}!" for r in requests]


@pytest.fixture
def server():
    pytest.importorskip("moto", reason="moto is not installed")
    with objects.serving() as made:
        yield made


def test_an_answer_is_asked_for_once_and_goes_with_its_record(server):
    assert request_cache(PATH) is None
    cache, model = RequestCache.at(PATH), Echo()
    assert isinstance(cache, StoredCache)
    requests = [Request(prompt=f"p{i}", key=i, record=f"r{i % 7}") for i in range(20)]
    first = cache.complete(model, requests)
    assert cache.complete(model, requests[5:15]) == first[5:15]
    assert (model.asked, len(cache), cache.records()) == (20, 20, [f"r{i}" for i in range(7)])
    other = request_cache(PATH)
    assert other.complete(Echo(), requests) == first
    assert other.forget(["r0", "unknown"]) == 3
    assert len(other) == 17
    assert not any(b'"r0"' in storage.read_bytes(e.uri) for e in storage.below("s3://corpora/out"))
    assert other.forget([]) == 0
    other.close()
