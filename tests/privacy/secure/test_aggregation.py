import itertools

import numpy as np
import pytest

from corpusmill.privacy.secure import aggregation
from corpusmill.privacy.secure.aggregation import add_up, collect, mask
from corpusmill.transforms.errors import ProtocolError
from tests.privacy.secure.parties import OWNERS, Killed, Threads
from tests.privacy.secure.uniform import is_uniform

pytest.importorskip("cryptography", reason="secure sums need cryptography")

COUNT = {
    "job": "sum",
    "kind": "count",
    "parties": {"threshold": 2},
    "count": {"by": [{"column": "lang", "values": ["en", "zh"]}]},
}


def vectors(n=1000):
    rng = np.random.default_rng(0)
    return {o: rng.integers(0, 2**40, n).astype(np.uint64) for o in OWNERS}


def parts(x):
    n = len(next(iter(x.values())))
    return {o: lambda node, o=o: add_up(node, x[o]) for o in OWNERS} | {"hub": lambda node: collect(node, n)}


def test_the_sum_is_exact_and_no_upload_shows_its_vector(tmp_path, monkeypatch):
    x = vectors(4096)
    sent = {}
    send = aggregation.Node.send

    def watching(self, to, kind, array, *rest, **more):
        if kind == "masked":
            sent[self.name] = array.copy()
        return send(self, to, kind, array, *rest, **more)

    monkeypatch.setattr(aggregation.Node, "send", watching)
    found = Threads(tmp_path, dict(COUNT)).run(parts(x))
    expected = sum(x.values())
    for name in (*OWNERS, "hub"):
        total, alive = found[name]
        assert total.tolist() == expected.tolist()
        assert alive == list(OWNERS)
    for owner in OWNERS:
        assert is_uniform(sent[owner])
        assert not np.isin(x[owner], sent[owner]).any()
    # two uploads together show no less: their pairwise masks cancel, their own do not
    for a, b in itertools.combinations(OWNERS, 2):
        assert not np.isin(x[a] + x[b], sent[a] + sent[b]).any()


@pytest.mark.parametrize(("kind", "count"), [("public", 3), ("shares", 1), ("shares", 2), ("held", 1), ("masked", 1)])
def test_an_owner_lost_in_any_phase_is_left_out_or_counted_whole(tmp_path, kind, count):
    x = vectors(100)
    found = Threads(tmp_path, dict(COUNT)).run(parts(x), {"south": (kind, count)})
    assert isinstance(found["south"], Killed)
    total, alive = found["hub"]
    assert total.tolist() == sum(x[o] for o in alive).tolist()
    assert set(alive) >= {"north", "east"}
    assert ("south" in alive) == (kind == "masked")
    for owner in ("north", "east"):
        assert found[owner][0].tolist() == total.tolist()


def test_below_the_threshold_everyone_stops_and_nothing_is_revealed(tmp_path):
    x = vectors(10)
    parties = Threads(tmp_path, dict(COUNT))
    found = parties.run(parts(x), {"south": ("held", 1), "east": ("held", 1)})
    assert isinstance(found["hub"], ProtocolError)
    assert "2 are needed" in str(found["hub"])
    assert isinstance(found["north"], ProtocolError)
    for o in OWNERS:
        assert "unmask" not in {r["kind"] for r in parties.setup.transcript(o)}


@pytest.mark.parametrize(
    ("name", "kind"), [("south", "shares"), ("south", "masked"), ("hub", "roster"), ("hub", "alive")]
)
def test_after_a_restart_all_go_on_from_their_last_phase(tmp_path, name, kind):
    x = vectors(50)
    parties = Threads(tmp_path, dict(COUNT), timeout=8 if name == "hub" else 60)
    if name == "hub":
        first = parties.run(parts(x), {name: (kind, 3)})
        assert all(isinstance(e, (ProtocolError, Killed)) for e in first.values())
        parties.setup.retime(60)
        found = parties.run(parts(x))
        assert {k: str(r) for k, r in found.items() if isinstance(r, Exception)} == {}
        assert all(r[0].tolist() == sum(x.values()).tolist() for r in found.values())
    else:
        for r in parties.restarting(parts(x), name, kind).values():
            assert r[0].tolist() == sum(x.values()).tolist()


def test_a_mask_is_the_same_for_the_same_key_only():
    assert mask(bytes(32), 3).tolist() == [9910523521560253916, 9736928157321283757, 13345931270979981139]
    assert mask(bytes(31) + b"\1", 3).tolist() != mask(bytes(32), 3).tolist()
    assert len(mask(bytes(32), 0)) == 0
