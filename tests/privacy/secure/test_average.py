"""One round of federated averaging: the plain average to fixed-point precision, by both methods, and nobody's update seen."""

import os
import shutil

import numpy as np
import pytest

from corpusmill.privacy.secure import average
from corpusmill.privacy.secure.average import Statement, opened, sealed, settings_of
from corpusmill.privacy.secure.settings import Average, Job, Parties
from corpusmill.transforms.errors import LockedError, PrivacyError, ProtocolError, RecipeError
from tests.privacy.secure import averages
from tests.privacy.secure.averages import METHODS, PARTS, WEIGHTS, job, logits, plain, tensors, went_well
from tests.privacy.secure.parties import OWNERS, Killed, Threads, hurry
from tests.privacy.secure.parties import Parties as Processes
from tests.privacy.secure.uniform import is_uniform
from tests.training.conftest import tiny

torch = pytest.importorskip("torch")

from corpusmill.training import build, checkpoint, loop  # noqa: E402
from corpusmill.training.output_lock import held  # noqa: E402
from corpusmill.training.owners.average import part  # noqa: E402

LONG = os.environ.get("FAULTS") == "long"
runs, joined, shards, tokenizer = averages.runs, averages.joined, averages.shards, averages.tokenizer


def test_the_average_is_the_plain_one_by_both_methods_and_its_model_answers_as_that(joined, runs):
    results = {}
    for method in METHODS:
        found = went_well(joined(job(method), folder=method).run(PARTS))
        written = {o: (checkpoint.find(found[o]["result"]) / "model.safetensors").read_bytes() for o in OWNERS}
        assert written["north"] == written["south"] == written["east"]
        results[method] = written["north"]
        assert found["hub"]["owners"] == list(OWNERS)
        assert found["hub"]["without_the_model"] == []
    assert results["masks"] == results["encrypted"]
    assert found["north"]["encryption"]["secure_128"]
    wanted, loaded = plain(runs["full"]), build.load(found["south"]["result"])
    assert found["south"]["precision"] < 2.0**-31
    for name, p in build.trainable(loaded.model).items():
        assert (p.double() - wanted[name]).abs().max() <= found["south"]["precision"] + 2.0**-24 * wanted[
            name
        ].abs().max()
    assert (wanted["embedding.weight"] - tensors(runs["base"])["embedding.weight"]).abs().max() > 1e-3
    own = build.load(runs["full"]["south"])
    answers = logits(own.model)
    with torch.no_grad():
        for name, p in build.trainable(own.model).items():
            p.copy_(wanted[name])
    assert torch.allclose(logits(loaded.model), logits(own.model), atol=1e-5)
    assert not torch.allclose(logits(loaded.model), answers, atol=1e-2)


def test_an_upload_shows_no_update(joined, runs, monkeypatch):
    from corpusmill.privacy.secure import node as nodes

    base = tensors(runs["base"])
    order = list(build.trainable(build.load(runs["base"]).model))
    changes = {o: [tensors(runs["full"][o])[n].double() - base[n].double() for n in order] for o in OWNERS}
    flat = {o: torch.cat([c.flatten() for c in changes[o]]).numpy() for o in OWNERS}
    encode = nodes.encode
    for method in METHODS:
        sent = []
        monkeypatch.setattr(nodes, "encode", lambda m, sent=sent: sent.append(m) or encode(m))
        parties = joined(job(method), folder=method)
        found = went_well(parties.run(PARTS))
        share = average.shares(parties.job)
        whole = {o: sealed(flat[o], share[o], parties.job.average) for o in OWNERS}
        sums = {m.array.tobytes() for m in sent if m.kind in ("sum", "plain-sum")}
        assert sums == {sum(whole.values()).astype(np.uint64).tobytes()}
        seen = {m.kind for m in sent}
        assert ("masked" in seen) == (method == "masks")
        assert ("cipher" in seen) == (method == "encrypted")
        assert not {"masked", "cipher", "plain-sum"} & {m.kind for m in sent if m.sender in OWNERS and m.to in OWNERS}
        for m in sent:
            body = m.array.tobytes()
            for o in OWNERS:  # eight numbers in a row, in any of the forms that an owner has them in
                for numbers in (whole[o], flat[o], flat[o].astype(np.float32)):
                    busy = int(np.argmax(np.abs(flat[o][:-8])))
                    assert numbers[busy : busy + 8].tobytes() not in body, m.kind
            if m.kind == "masked":
                assert is_uniform(m.array)
        assert found["north"]["parameters"] == len(flat["north"])


KILLS = [
    ("masks", "south", "guarantee", 1),
    ("masks", "south", "masked", 1),
    ("masks", "hub", "alive", 1),
    ("encrypted", "north", "agreed", 1),
    ("encrypted", "south", "cipher", 1),
    ("encrypted", "north", "plain-sum", 1),
    ("encrypted", "hub", "guarantee", 1),
]


@pytest.mark.parametrize(("method", "name", "kind", "count"), KILLS)
def test_a_party_that_starts_again_changes_nothing(joined, runs, method, name, kind, count):
    found = went_well(joined(job(method), "lora").restarting(PARTS, name, kind, count))
    wanted = plain(runs["lora"])
    for o in OWNERS:
        assert all((t.double() - wanted[n]).abs().max() < 2.0**-24 for n, t in tensors(found[o]["result"]).items())


def test_owners_that_are_never_online_together_have_the_average(joined, runs):
    parties = joined(job("encrypted"), "lora", timeout=0.5)
    settings = parties.setup.folder / "hub.yaml"
    settings.write_text(settings.read_text().replace("timeout: 0.5", "timeout: 60"))
    wrong = [str(runs["full"]["south"])]

    def south(node):
        """It names the wrong run until it is refused, which is before it has sent anything of it."""
        node.party = node.party.model_copy(update={"model": wrong[0]} if wrong else {})
        try:
            return part(node)
        except ProtocolError as error:
            if "averages something else" in str(error):
                wrong.clear()
            raise

    found, said = parties.alone({**PARTS, "south": south})
    assert set(went_well(found)) == {*OWNERS, "hub"}
    assert "north averages something else than south: tune" in str(said["south"])
    assert all("start it again later, and it goes on" in str(said[o]) for o in OWNERS)
    wanted = plain(runs["lora"])
    for o in OWNERS:
        assert all((t.double() - wanted[n]).abs().max() < 2.0**-24 for n, t in tensors(found[o]["result"]).items())


@pytest.mark.skipif(not LONG, reason="processes with torch that are killed: FAULTS=long")
@pytest.mark.parametrize(("method", "name", "kind", "count"), KILLS)
def test_a_killed_process_starts_again(tmp_path, runs, method, name, kind, count):
    own = {o: {"model": str(m)} for o, m in runs["lora"].items()}
    parties = Processes(tmp_path / "p", job(method), timeout=120, own=own)
    try:
        found = parties.all_with_a_kill(name, kind, {})
    finally:
        parties.kill()
    wanted = plain(runs["lora"])
    for o in OWNERS:
        got = tensors(found[o][1]["result"])
        assert all((t.double() - wanted[n]).abs().max() < 2.0**-24 for n, t in got.items())


def test_a_lost_owner_is_left_out_and_too_few_are_refused(joined, runs):
    owners = (*OWNERS, "west")
    agreed = job(weights={**WEIGHTS, "west": 5.0})
    found = joined(agreed, "lora", owners=owners).run(
        dict.fromkeys(owners, part) | {"hub": average.as_aggregator}, {"west": ("held", 1)}
    )
    assert isinstance(found.pop("west"), Killed)
    went_well(found)
    assert found["hub"]["without_the_model"] == ["west"]
    wanted = plain(runs["lora"])
    for o in OWNERS:
        assert all((t.double() - wanted[n]).abs().max() < 2.0**-24 for n, t in tensors(found[o]["result"]).items())
        assert build.load(found[o]["result"]).state["average"]["left_out"] == ["west"]
    parties = joined(job(), "lora", folder="few")
    found = parties.run(PARTS, {"south": ("held", 1)})
    assert "where 3 are needed" in str(found["hub"])
    assert all(isinstance(found[o], (ProtocolError, Killed)) for o in OWNERS)
    assert not list(parties.setup.folder.glob("state-*/*/*.model"))
    assert "unmask" not in {r["kind"] for o in OWNERS for r in parties.setup.transcript(o)}


def test_an_output_that_another_run_writes_is_refused(joined):
    parties = joined(job(), "lora")
    with held(parties.party("north").results("round-1") / "round-1.model"):
        found = parties.run({"north": part})
    assert isinstance(found["north"], LockedError)
    assert not list(parties.setup.folder.glob("state-north/*/transcript.jsonl"))
    assert not list(parties.setup.folder.glob("state-north/*/*.model/checkpoints"))


@pytest.mark.parametrize("method", METHODS)
def test_runs_from_another_base_or_of_another_kind_are_refused_by_name(joined, runs, tmp_path, method):
    text, words = runs["shards"], runs["tokenizer"]
    loop.train(tiny(tmp_path / "other", text, words, steps=1, model__layers=1))
    loop.train(tiny(tmp_path / "run", text, words, steps=1, tune__base=str(tmp_path / "other")))
    for models, differs in (
        ({"south": tmp_path / "run"}, "base, initial weights differ"),
        ({"south": runs["lora"]["south"]}, "tune, names and shapes of tensors, initial weights differ"),
    ):
        parties = joined(job(method), models=models, folder=differs[:4])

        def south(node, parties=parties):
            try:
                return part(node)
            finally:  # the aggregator would wait for it to come back
                hurry(parties.nodes["hub"])

        found = parties.run({**PARTS, "south": south})
        assert isinstance(found["south"], ProtocolError)
        assert f"north averages something else than south: {differs}" in str(found["south"])
        assert all(isinstance(e, ProtocolError) for e in found.values())
        sent = [p.read_text() for p in parties.setup.folder.glob("state-south/*/transcript.jsonl")]
        assert "masked" not in str(sent)
        assert "cipher" not in str(sent)
        assert not list(parties.setup.folder.glob("state-*/*/*.model"))


def test_what_could_overflow_or_moved_too_far_is_refused(joined):
    owners = Parties(owners=OWNERS, aggregator="hub", threshold=3)
    keyed = Parties(owners=OWNERS, aggregator="hub", threshold=3, key_holder="east")

    def of(parties, **fields):
        return Job(job="a", kind="average", parties=parties, average=Average(**fields))

    # at the bound the sum still fits; above it, it is refused
    for parties, method, room in ((owners, "masks", 2**63), (keyed, "encrypted", 2**49)):
        bits = 16
        most = (room // 3 - 1) // 2 // 2**bits
        fits = of(parties, method=method, fraction_bits=bits, max_change=most * (1 - 2**-20))
        values = np.array([1.0, -1.0, 0.25]) * fits.average.max_change
        total = sum(sealed(values, 1.0, fits.average).astype(np.uint64) for _ in OWNERS)
        assert total.max() < room
        assert np.abs(opened(total, list(OWNERS), fits) / values - 1).max() < 1e-12
        with pytest.raises(RecipeError, match="could overflow"):
            settings_of(of(parties, method=method, fraction_bits=bits, max_change=most * 1.01))
        with pytest.raises(RecipeError, match="could overflow"):
            settings_of(of(parties, method=method, max_change=1e300))
    for bad in (16.5, np.nan, np.inf):
        with pytest.raises(PrivacyError, match="more than average"):
            sealed(np.array([0.0, bad]), 1.0, Average())
    with pytest.raises(ProtocolError, match="not one that the owners can have sent"):
        opened(np.array([-1]), list(OWNERS), of(owners))
    found = joined(job(max_change=1e-6)).run({"north": part})
    assert "Nothing was sent" in str(found["north"])
    found = joined(job("encrypted", max_change=1e6), folder="q").run({"north": part, "hub": average.as_aggregator})
    assert all("could overflow under encryption" in str(e) for e in found.values())


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"parties": {"owners": ["north", "south"], "threshold": 2}}, "at least three owners in it, and 2 would do"),
        ({"parties": {"threshold": 2}}, "at least three owners in it, and 2 would do"),
        ({"parties": {"threshold": 0}}, "at least three owners in it, and 2 would do"),
        ({"method": "encrypted", "parties": {"key_holder": "hub"}}, "key holder must not be the aggregator"),
        ({"method": "encrypted", "parties": {"key_holder": ""}}, "goes with `average.method: encrypted`"),
        ({"parties": {"key_holder": "north"}}, "goes with `average.method: encrypted`"),
        ({"weights": {"north": 1, "south": 1}}, "names each owner once, or none: look at east"),
        ({"weights": {**WEIGHTS, "south": 0}}, "weights must be above 0"),
        ({"weights": {**WEIGHTS, "south": float("nan")}}, "`south`: input should be a finite number"),
        ({"weights": {**WEIGHTS, "south": 3e6 + 1}}, "a million times the smallest"),
    ],
)
def test_jobs_that_would_show_an_update_or_make_no_sense_are_refused(tmp_path, fields, why):
    with pytest.raises(RecipeError, match=why):
        Threads(tmp_path, job(**fields))


def test_models_that_no_message_holds_and_folders_of_others_are_refused(joined, runs, tmp_path):
    parties = joined(job(), max_message_mb=1)
    party = parties.party("north")

    class Small:
        job, name, max_bytes = parties.job, "north", 1 << 16

    with pytest.raises(RecipeError, match=r"20,000 numbers are a message of 1 MB"):
        average.as_owner(Small(), np.zeros(20_000), {}, Statement())
    folder = tmp_path / "out"
    shutil.copytree(runs["full"]["north"], folder / "round-1.model")
    text = (tmp_path / "p" / "north.yaml").read_text()
    (tmp_path / "p" / "north.yaml").write_text(f"{text}output: {folder}\n")
    assert "holds another run" in str(parties.run({"north": part})["north"])
    (tmp_path / "p" / "north.yaml").write_text(text.replace(f"model: {party.model}\n", ""))
    assert "needs `model`" in str(parties.run({"north": part})["north"])
