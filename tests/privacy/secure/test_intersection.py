import numpy as np
import pytest

from corpusmill.privacy.secure.group import hash_to_group, multiply, random_scalar
from corpusmill.privacy.secure.intersection import match, receive_tags, send_elements, shuffled
from corpusmill.privacy.secure.wire import Message
from corpusmill.transforms.errors import ProtocolError
from tests.privacy.secure.parties import OWNERS, Threads

pytest.importorskip("rbcl", reason="set intersection needs rbcl")


def test_multiplying_commutes_and_domains_are_apart():
    elements = np.arange(20, dtype=np.uint64).reshape(10, 2)
    points = hash_to_group(elements, b"test")
    k, l = random_scalar(), random_scalar()  # noqa: E741
    assert (multiply(multiply(points, k), l) == multiply(multiply(points, l), k, workers=3)).all()
    assert len(np.unique(points, axis=0)) == 10
    assert not (hash_to_group(elements, b"other") == points).all(axis=1).any()
    one = np.zeros(32, np.uint8)
    one[0] = 1
    assert (multiply(points, one) == points).all()


@pytest.mark.parametrize("bad", [np.zeros((1, 32), np.uint8), np.full((1, 32), 255, np.uint8)])
def test_what_is_no_point_or_neutral_is_refused(bad):
    with pytest.raises(ProtocolError, match="point was refused"):
        multiply(bad, random_scalar())


def test_equal_elements_meet_and_nothing_on_the_wire_is_an_element(tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    pool = rng.integers(0, 2**63, (60, 2)).astype(np.uint64)
    sets = {"north": pool[:30], "south": pool[20:50], "east": pool[[0, 25, 59]]}
    sent: list[Message] = []
    from corpusmill.privacy.secure import node as nodes

    encode = nodes.encode
    monkeypatch.setattr(nodes, "encode", lambda m: sent.append(m) or encode(m))
    parts = {o: lambda node, o=o: send_elements(node, sets[o]) for o in OWNERS}
    parties = Threads(tmp_path, {"job": "i", "kind": "dedup"})
    found = parties.run({**parts, "hub": receive_tags})
    north, south, east = match(found["hub"])
    assert (north[20:30] == south[:10]).all()
    assert east.tolist() == [north[0], north[25], east[2]]
    assert len(np.unique(np.concatenate([north, south, east]))) == 51
    plain = {row.tobytes() for row in hash_to_group(pool, parties.job.session.encode())}
    words = {int(w) for w in pool.reshape(-1)}
    assert {m.kind for m in sent} == {"size", "points", "tags"}
    for m in sent:
        if m.kind == "size":
            continue
        assert not {row.tobytes() for row in m.array} & plain
        assert not {int(w) for w in np.ascontiguousarray(m.array).view(np.uint64).reshape(-1)} & words


def test_an_order_is_secret_but_the_same_for_the_same_seed():
    a = shuffled(np.arange(100), np.arange(32, dtype=np.uint8))
    assert a.tolist() == shuffled(np.arange(100), np.arange(32, dtype=np.uint8)).tolist()
    assert sorted(a) == list(range(100))
    assert a.tolist() != shuffled(np.arange(100), np.zeros(32, np.uint8)).tolist()
