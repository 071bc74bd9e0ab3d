"""What an owner makes of an average: a run like any other, which claims for each population what its owner does."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.privacy.guarantee import Guarantee, each, paragraph
from corpusmill.privacy.secure import average
from corpusmill.privacy.secure.average import Statement
from corpusmill.transforms.errors import DatasetError, ProtocolError
from tests.command import invoke, invoke_json
from tests.privacy.secure import averages
from tests.privacy.secure.averages import PARTS, WEIGHTS, job, logits, plain, tensors, went_well
from tests.privacy.secure.parties import OWNERS, Threads, when
from tests.training.conftest import sentences, tiny

torch = pytest.importorskip("torch")

from corpusmill.training import build, checkpoint, loop  # noqa: E402
from corpusmill.training.owners.average import guaranteed, part, stated  # noqa: E402

runs, joined = averages.runs, averages.joined
OF = {"unit": "document", "adjacency": "add or remove", "delta": 1e-5, "certified": True}


@pytest.mark.parametrize("tuned", ["lora", "soft-prompt"])
def test_adapters_and_prompts_are_averaged_alone(joined, runs, tuned):
    found = went_well(joined(job(weights={}), tuned).run(PARTS))
    wanted = plain(runs[tuned], weights=dict.fromkeys(OWNERS, 1.0))
    assert found["hub"]["parameters"] == sum(t.numel() for t in wanted.values()) < 3000
    got = tensors(found["east"]["result"])
    assert {n: t.shape for n, t in got.items()} == {n: t.shape for n, t in wanted.items()}
    for name, tensor in got.items():
        assert (tensor.double() - wanted[name]).abs().max() < 2.0**-24
    assert torch.isfinite(logits(build.load(found["east"]["result"]).model)).all()


def test_the_result_is_a_run_like_any_other_and_the_base_of_the_next_round(joined, runs, tmp_path):
    text, words = runs["shards"], runs["tokenizer"]
    found = went_well(joined(job()).run(PARTS))
    result = found["north"]["result"]
    assert result.endswith("p/state-north/round-1/round-1.model")
    assert invoke_json("eval", result, "--data", text)["targets"] > 100
    done = invoke("generate", result, "the red", "--max-tokens", 3)
    assert done.exit_code == 0, done.output
    state = build.load(result).state
    assert state["average"]["owners"] == [{"name": o, "weight": WEIGHTS[o], "private": False} for o in OWNERS]
    assert state["average"]["left_out"] == []
    assert state["average"]["session"] == Threads(tmp_path / "same", job()).job.session
    assert "guarantee" not in state
    start = build.build(tiny(tmp_path / "n", text, words, tune__base=result, model__layers=1), [])
    assert torch.equal(logits(start), logits(build.load(result).model))
    settings = tiny(result, text, words, tune__base=str(runs["base"]), steps=9)
    with pytest.raises(DatasetError, match="trained on another data"):
        loop.train(settings)


def test_a_run_that_changed_under_way_or_a_base_that_did_is_refused(joined, runs, tmp_path):
    shutil.copytree(runs["full"]["north"], tmp_path / "mine")
    parties = joined(job("encrypted"), models={"north": tmp_path / "mine"})

    def in_vain(node):
        when(node, lambda: node.store.sent("hub", "cipher", 0))
        return part(node)

    only = parties.run({"north": in_vain, "hub": average.as_aggregator})
    assert isinstance(only["north"], ProtocolError)
    assert "agreed" in {r["kind"] for r in parties.setup.transcript("north")}
    other = parties.setup.folder / "north.yaml"
    text = other.read_text()
    other.write_text(text.replace(str(tmp_path / "mine"), str(runs["full"]["east"])))
    assert "is not what north began the job with" in str(parties.run({"north": part})["north"])
    other.write_text(text)
    state = checkpoint.find(tmp_path / "mine") / "state.json"
    kept = state.read_text()
    state.write_text(checkpoint.sealed(json.loads(kept.replace('"step": 2', '"step": 3'))))
    assert "is not what north began the job with" in str(parties.run({"north": part})["north"])
    state.write_text(checkpoint.sealed(json.loads(kept.replace(json.loads(kept)["digests"]["base"], "0" * 64))))
    fresh = joined(job(), models={"north": tmp_path / "mine"}, folder="q")
    assert "trained on another base" in str(fresh.run({"north": part})["north"])
    (state.parent / "tokenizer.json").unlink()
    fresh = joined(job(), models={"north": tmp_path / "mine"}, folder="r")
    assert "whole checkpoint" in str(fresh.run({"north": part})["north"])


def private(folder, run, population, epsilon, **more):
    """A copy of a run whose checkpoint carries a guarantee."""
    shutil.copytree(run, folder / population)
    path = checkpoint.find(folder / population) / "state.json"
    fields = {**OF, "epsilon": epsilon, "total": epsilon + 1, "ledger": population[0].encode().hex() * 16, **more}
    own = Guarantee(population=population, runs=("r",), **fields)
    path.write_text(checkpoint.sealed({**json.loads(path.read_text()), "guarantee": own.model_dump(mode="json")}))
    return folder / population


def test_each_population_keeps_its_own_guarantee_and_no_other(joined, runs, tmp_path):
    from corpusmill.pipelines.recipe.certify import Certification
    from corpusmill.pipelines.recipe.judge import judge_model

    models = {
        "north": private(tmp_path, runs["lora"]["north"], "patients", 1.5),
        "east": private(tmp_path, runs["lora"]["east"], "clients", 3.0, unit="user", certified=False),
    }
    found = went_well(joined(job(), "lora", models).run(PARTS))
    for o in OWNERS:
        assert found[o]["private"] == {"north": {"epsilon": 1.5, "delta": 1e-5}}
    state = {o: build.load(found[o]["result"]).state for o in OWNERS}
    (at_north, of_east) = each(Guarantee.model_validate(state["north"]["guarantee"]))
    assert (at_north.population, at_north.epsilon, at_north.runs) == ("patients", 1.5, ("r",))
    assert (of_east.population, of_east.epsilon, of_east.total) == ("the owner east's", 3.0, 4.0)
    assert "No guarantee holds" in paragraph(of_east)
    south = each(Guarantee.model_validate(state["south"]["guarantee"]))
    assert [(g.population, g.epsilon) for g in south] == [("the owner north's", 1.5), ("the owner east's", 3.0)]
    assert "north stated it in the job round-1" in paragraph(south[0])
    assert [(o["name"], o["private"], o.get("epsilon")) for o in state["east"]["average"]["owners"]] == [
        ("north", True, 1.5), ("south", False, None), ("east", True, 3.0)
    ]  # fmt: skip
    # whoever uses the model with private data is told of south and east
    certification = Certification("document")
    (told,) = judge_model(found["north"]["result"], "a step", certification)
    assert told == state["north"]["guarantee"]
    assert ["data of the owner south" in r.reason for r in certification.refusals] == [True, False]
    assert "data of the owner east without a guarantee" in certification.refusals[1].reason


def test_a_further_round_replaces_what_was_known_of_a_population():
    def of(population, epsilon, also=()):
        ledger = population[0].encode().hex() * 16
        return Guarantee(
            population=population, epsilon=epsilon, total=epsilon, ledger=ledger, runs=("r",), also=also, **OF
        )

    mine = of("mine", 1.0, also=(of("their", 2.0), of("base", 0.5)))
    newer = stated({"guarantee": of("their", 2.7).model_dump()})
    state = {"guarantee": mine.model_dump()}
    found = average.Averaged(np.zeros(1), {"north": stated(state), "south": newer, "east": Statement()}, 0.0, {})
    whole = guaranteed("north", "j", state, found)
    assert (whole.population, [(g.ledger[:2], g.epsilon) for g in whole.also]) == ("mine", [("74", 2.7), ("62", 0.5)])
    assert guaranteed("east", "j", {}, average.Averaged(np.zeros(1), {"east": Statement()}, 0.0, {})) is None
    assert average._unpacked(average._packed(newer)[0]) == newer


def test_a_private_run_from_the_average_adds_to_what_its_owner_has_spent_in_it(joined, runs, tmp_path):
    """Two rounds with real private runs at north: the second guarantee is of both, and no more is said of the others."""
    pytest.importorskip("opacus", reason="private training needs opacus")
    from corpusmill.privacy.ledger import Ledger
    from corpusmill.training.private import train

    pq.write_table(pa.table({"id": list("abcdefgh"), "text": sentences(8)}), tmp_path / "docs.parquet")
    Ledger.create(tmp_path, "patients", "document", 50.0, 1e-3)
    privacy = {"ledger": str(tmp_path), "units": 8, "sigma": 2.0}

    def trained(name, base):
        more = {"tune__base": str(base), "tune__method": "lora", "data__length": 16, "batch__rows": 4, "steps": 1}
        settings = tiny(tmp_path / name, tmp_path / "docs.parquet", runs["tokenizer"], **more, privacy=privacy)
        train(settings, settings.privacy)
        return Guarantee.model_validate(build.load(tmp_path / name).state["guarantee"])

    first = trained("one", runs["base"])
    found = went_well(joined(job(), "lora", {"north": tmp_path / "one"}).run(PARTS))
    assert found["south"]["private"] == {"north": {"epsilon": first.epsilon, "delta": 1e-3}}
    (at_north,) = each(Guarantee.model_validate(build.load(found["north"]["result"]).state["guarantee"]))
    assert at_north == first
    second = trained("two", found["north"]["result"])
    assert second.runs[:1] == first.runs
    assert len(second.runs) == 2
    assert second.epsilon == pytest.approx(Ledger(tmp_path).spent())
    assert second.epsilon > first.epsilon > 0
