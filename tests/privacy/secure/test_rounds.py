import threading

import numpy as np
import pytest

from corpusmill.privacy.secret import Secret
from corpusmill.privacy.secure import rounds
from corpusmill.privacy.secure.rounds import Rounds, as_aggregator, decoded, deviations, encoded
from corpusmill.privacy.secure.settings import Finetune, Job, Parties
from corpusmill.transforms.errors import PrivacyError, ProtocolError, RecipeError
from tests.privacy.secure.parties import OWNERS, Killed, Threads
from tests.privacy.secure.uniform import is_uniform

pytest.importorskip("cryptography", reason="secure sums need cryptography")

LENGTH = 4000
SAME = {"settings": bytes(32)}


def job(steps=2, **fields):
    return {"job": "f", "kind": "finetune", "finetune": {"steps": steps, "units": 90, "rows": 30, "sigma": 0, **fields}}


def updates(steps=2, length=LENGTH):
    return {o: np.random.default_rng(i).normal(size=(steps, length)) / 50 for i, o in enumerate(OWNERS)}


def parts(x, digests=None):
    steps, length = next(iter(x.values())).shape

    def owner(node):
        own = Rounds(node, Secret(node.name.ljust(32).encode()))
        own.agree(length, (digests or {}).get(node.name, SAME))
        return np.stack([own.add(step, x[node.name][step]) for step in range(steps)])

    return dict.fromkeys(OWNERS, owner) | {"hub": as_aggregator}


@pytest.mark.parametrize("colluding", [0, 1, 2])
@pytest.mark.parametrize("n", [3, 5, 8])
def test_shares_of_those_who_remain_have_the_planned_noise_without_those_who_collude(n, colluding):
    parties = Parties(owners=tuple(f"o{i}" for i in range(n)), aggregator="hub", threshold=n // 2 + 1)
    if colluding >= parties.least:
        pytest.skip("refused by the job")
    settings = Finetune(steps=1, units=9, rows=3, sigma=2, colluding=colluding)
    squares = deviations(Job(job="f", kind="finetune", parties=parties, finetune=settings)) ** 2
    for lost in range(n - parties.least + 1):
        assert squares[: lost + 1].sum() * (n - lost - colluding) == pytest.approx(1)
    assert (squares > 0).all()


def test_without_noise_the_sum_is_that_of_all_owners_to_the_last_bit(tmp_path):
    x = updates()
    found = Threads(tmp_path, job()).run(parts(x))
    for owner in OWNERS:
        assert np.abs(found[owner] - sum(x.values())).max() <= 1.5 * 2.0**-32
        assert found[owner].tobytes() == found["north"].tobytes()
    assert found["hub"] == {"steps": 2, "parameters": LENGTH, "absent": {}, "without_the_model": []}


@pytest.mark.parametrize(("lost", "colluding"), [(False, 0), (False, 1), (True, 1)])
def test_the_sum_has_the_planned_noise_whoever_is_lost(tmp_path, lost, colluding):
    x = updates(1, 20_000)
    agreed = job(1, sigma=1.5, clip=2.0, colluding=colluding)
    parties = Threads(tmp_path, agreed)
    found = parties.run(parts(x), {"south": ("held", 1)} if lost else {})
    there = [o for o in OWNERS if o != "south"] if lost else list(OWNERS)
    noise = found["north"][0] - sum(x[o][0] for o in there)
    planned = 3.0**2 * len(there) / (len(there) - colluding)
    assert noise.var() == pytest.approx(planned, rel=5 * np.sqrt(2 / 20_000))
    assert abs(noise.mean()) < 5 * np.sqrt(planned / 20_000)
    # what one owner cannot take off is no less than planned where it may collude
    known = [Secret(Rounds(_Named(parties.job), Secret(b"north".ljust(32)))._key(0, p)) for p in range(2)]
    own = [
        decoded(rounds.noise(k, 0, 20_000, d * 3.0, 32), 32)
        for k, d in zip(known, deviations(parties.job), strict=True)
    ]
    rest = noise - sum(own[: 2 if lost else 1])
    assert rest.var() == pytest.approx(planned * (len(there) - 1) / len(there), rel=5 * np.sqrt(2 / 20_000))
    if colluding:
        assert planned * (len(there) - 1) / len(there) == pytest.approx(9)


class _Named:
    def __init__(self, job):
        self.job = job


def test_nothing_but_the_sum_is_seen(tmp_path, monkeypatch):
    x = updates(1)
    sent = []
    from corpusmill.privacy.secure import node as nodes

    encode = nodes.encode
    monkeypatch.setattr(nodes, "encode", lambda m: sent.append(m) or encode(m))
    parties = Threads(tmp_path, job(1, sigma=1.0))
    found = parties.run(parts(x))
    assert {m.kind for m in sent} == {
        "agreed", "size", "public", "shares", "held", "roster", "masked", "alive", "excess", "unmask", "sum"
    }  # fmt: skip
    plain = {o: encoded(x[o][0], 32, 3) for o in OWNERS}
    for m in sent:
        if m.kind != "masked":
            continue
        assert is_uniform(m.array)
        assert not np.isin(plain[m.sender], m.array).any()
    sums = [m.array for m in sent if m.kind == "sum"]
    assert len(sums) == 3
    assert all(decoded(s, 32).tolist() == found["north"][0].tolist() for s in sums)


def is_sum(total, x, step, among):
    return np.abs(total - sum(x[o][step] for o in among)).max() < 2.0**-30


def test_an_owner_that_was_away_gets_the_sums_it_missed_and_takes_part_again(tmp_path):
    steps, gone, again = 12, 3, 7
    x = updates(steps, 50)
    parties = Threads(tmp_path, job(steps))
    missed_it, come, there = threading.Event(), threading.Event(), threading.Event()
    back = {}

    def part(node):
        """Before a round without south, it is known to be gone; before the one that it is back for, it has what it missed."""
        own = Rounds(node, Secret(node.name.ljust(32).encode()))
        own.agree(50, SAME)
        out = []
        for step in range(steps):
            if step == again and node.name == "south":
                there.set()
            elif step in (gone, again):
                come.set() if step == again else None
                assert (missed_it if step == gone else there).wait(200)
            out.append(own.add(step, x[node.name][step]))
        return np.stack(out)

    def twice():
        back.update(parties.run({"south": part}, {"south": ("masked", gone)}))
        missed_it.set()
        assert come.wait(200)
        back.update(second=parties.run({"south": part})["south"])

    thread = threading.Thread(target=twice)
    thread.start()
    found = parties.run({"north": part, "east": part, "hub": as_aggregator})
    thread.join()
    assert isinstance(back["south"], Killed)
    assert found["hub"]["without_the_model"] == []
    assert found["hub"]["absent"] == {"south": again - gone}
    assert found["north"].tobytes() == found["east"].tobytes() == back["second"].tobytes()
    for step in range(steps):
        among = [o for o in OWNERS if o != "south" or not gone <= step < again]
        assert is_sum(found["north"][step], x, step, among)


def test_below_the_threshold_all_stop_and_go_on_when_the_lost_are_back(tmp_path):
    x = updates(3, 20)
    parties = Threads(tmp_path, job(3))
    found = parties.run(parts(x), {"south": ("held", 2), "east": ("held", 2)})
    assert isinstance(found["hub"], ProtocolError)
    assert "2 are needed" in str(found["hub"])
    assert isinstance(found["north"], ProtocolError)
    found = parties.run(parts(x))
    for owner in OWNERS:
        assert np.abs(found[owner] - sum(x.values())).max() < 2.0**-30


def test_the_aggregator_goes_on_from_the_round_in_which_it_was_killed(tmp_path):
    x = updates(4, 20)
    for i, (kind, count) in enumerate([("roster", 4), ("alive", 5)]):
        parties = Threads(tmp_path / str(i), job(4), timeout=8)  # so long an owner tries to reach the dead
        first = parties.run(parts(x), {"hub": (kind, count)})
        assert isinstance(first["north"], (ProtocolError, np.ndarray))
        parties.setup.retime(60)
        found = parties.run(parts(x))
        for owner in OWNERS:
            assert np.abs(found[owner] - sum(x.values())).max() < 2.0**-30, (kind, owner)


def test_owners_that_train_something_else_are_told_what(tmp_path):
    x = updates(1, 20)
    other = {"south": {"settings": b"1" * 32}}
    found = Threads(tmp_path, job(1)).run(parts(x, other))
    assert "trains something else" in str(found["north"])
    assert "settings" in str(found["north"])
    assert all(isinstance(e, ProtocolError) for e in found.values())


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(PrivacyError, match="fraction_bits lower"):
        encoded(np.array([1e9]), 40, 3)
    with pytest.raises(PrivacyError, match="fraction_bits lower"):
        encoded(np.array([np.nan]), 40, 3)
    own = Rounds(_Named(Threads(tmp_path / "a", job(fraction_bits=16)).job), Secret(bytes(32)))
    with pytest.raises(PrivacyError, match="give more bits"):
        own.agree(100_000, SAME)
    with pytest.raises(RecipeError, match="below the threshold"):
        Threads(tmp_path / "b", job(colluding=2))
    with pytest.raises(RecipeError, match="more than units"):
        Threads(tmp_path / "c", job(rows=91))
