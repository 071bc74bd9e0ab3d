import numpy as np
import pytest

from corpusmill.privacy.secure import homomorphic as he
from corpusmill.transforms.errors import PrivacyError, ProtocolError, RecipeError
from tests.privacy.secure.parties import OWNERS, Killed, Threads, when

ts = pytest.importorskip("tenseal", reason="encrypted sums need tenseal")

COUNT = {
    "job": "sum",
    "kind": "count",
    "count": {"by": [{"column": "lang", "values": ["en", "zh"]}], "method": "encrypted"},
    "parties": {"key_holder": "north"},
}


def job(**parties):
    return {**COUNT, "parties": {**COUNT["parties"], **parties}}


def parts(x):
    n = len(next(iter(x.values())))
    return {o: lambda node, o=o: he.add_up(node, x[o]) for o in OWNERS} | {"hub": lambda node: he.collect(node, n)}


def test_encrypted_sums_are_exact_and_the_noise_is_told(tmp_path):
    rng = np.random.default_rng(0)
    x = {o: rng.integers(0, 2**40, 9000) for o in OWNERS}
    found = Threads(tmp_path, job()).run(parts(x))
    for name in (*OWNERS, "hub"):
        assert found[name][0].tolist() == sum(x.values()).tolist(), name
        assert found[name][1] == list(OWNERS)
    told = found["north"][2]
    assert told["secure_128"]
    assert told["coefficient_bits"] <= 218
    assert told["noise_budget_bits"] > 20


def test_an_owner_that_is_gone_after_its_part_is_counted_and_gets_the_sum_later(tmp_path):
    x = {o: np.arange(3) + i for i, o in enumerate(OWNERS)}
    parties = Threads(tmp_path, job())
    work = parts(x)
    found = parties.run(work, {"south": ("cipher", 1)})
    assert isinstance(found["south"], Killed)
    assert found["hub"][0].tolist() == sum(x.values()).tolist()
    later = parties.run({"south": work["south"], "hub": work["hub"]})
    assert later["south"][0].tolist() == sum(x.values()).tolist()


def test_owners_that_are_never_online_together_have_their_sum(tmp_path):
    """Each comes alone, leaves what it has, and comes again; only the aggregator stays."""
    x = {o: np.arange(3) + i for i, o in enumerate(OWNERS)}
    parties = Threads(tmp_path, job(key_holder="south"), timeout=0.5, own={"hub": {"timeout": 60}})
    found, said = parties.alone(parts(x))
    assert "no `context` of hub after 0.5 s: south, who makes the key, was not there yet" in str(said["north"])
    assert "no `cipher` of hub after 0.5 s: other owners were not there yet" in str(said["south"])
    assert "no `alive` of hub after 0.5 s: other owners, or south to decrypt, were not there yet" in str(said["east"])
    assert "has sent stays there; start it again later" in str(said["east"])
    for total, alive, *_ in found.values():
        assert (total.tolist(), alive) == (sum(x.values()).tolist(), list(OWNERS))
    assert set(found) == {*OWNERS, "hub"}


def test_below_the_threshold_nothing_is_added_until_the_others_come(tmp_path):
    x = {o: np.arange(3) + i for i, o in enumerate(OWNERS)}
    parties = Threads(tmp_path, job(threshold=3))
    work = parts(x)

    def in_vain(node):
        """It waits for east no more when all who are there have done what they can."""
        when(node, lambda: node.has("north", "cipher") and node.has("south", "cipher"))
        return work["hub"](node)

    found = parties.run({"north": work["north"], "south": work["south"], "hub": in_vain})
    assert "only 2 owners sent ciphertexts (north, south) where 3 are needed" in str(found["hub"])
    assert "cipher" not in {r["kind"] for r in parties.setup.transcript("hub")}
    assert parties.run(work)["east"][0].tolist() == sum(x.values()).tolist()


def test_the_key_holder_is_never_the_aggregator(tmp_path):
    with pytest.raises(RecipeError, match="must not be the aggregator"):
        Threads(tmp_path, job(key_holder="hub"))
    with pytest.raises(RecipeError, match="no owner"):
        Threads(tmp_path, job(key_holder="west"))


def test_the_public_context_cannot_decrypt():
    private = he.bfv()
    public = he.checked(he.public_bytes(private), "bfv", "north")
    pieces = he.encrypt(public, np.arange(5), 3)
    with pytest.raises(ValueError, match="secret_key"):
        ts.bfv_vector_from(public, pieces[0]).decrypt()
    assert he.decrypt(private, pieces)[0][:5].tolist() == [0, 1, 2, 3, 4]


def test_weak_private_and_foreign_contexts_are_refused():
    with pytest.raises(ProtocolError, match="with its secret key"):
        he.checked(he.bfv().serialize(save_secret_key=True), "bfv", "north")
    with pytest.raises(ProtocolError, match="bfv with 128 bits"):
        context = ts.context(ts.SCHEME_TYPE.CKKS, poly_modulus_degree=8192, coeff_mod_bit_sizes=[60, 40, 60])
        he.checked(he.public_bytes(context), "bfv", "north")
    with pytest.raises(ProtocolError, match="cannot be read"):
        he.checked(b"no context", "bfv", "north")
    assert he.MAX_BITS[8192] == 218


def test_what_could_overflow_and_what_is_no_ciphertext_are_refused():
    context = he.bfv()
    with pytest.raises(PrivacyError, match="larger units"):
        he.encrypt(context, np.array([he.PLAIN // 4]), 3)
    with pytest.raises(ProtocolError, match="does not fit"):
        he.add(context, [[b"\0" * 100]])
    assert he.encrypt(context, np.array([], np.int64), 3) == []
