"""`corpusmill privacy synthesize`: a public model writes, private documents vote, and what comes out carries its guarantee."""

import json
import random

import numpy as np
import pytest

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations import private_synthesis
from corpusmill.pipelines.operations.private_synthesis import Synthesis, synthesize
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.privacy.accounting import Event
from corpusmill.privacy.ledger import Ledger
from corpusmill.privacy.secret import Secret
from corpusmill.privacy.synthetic import note
from corpusmill.training import provenance
from corpusmill.transforms.errors import PrivacyError
from corpusmill.transforms.generate import model as models
from tests.command import invoke
from tests.corpora import write_recipe

pytest.importorskip("dp_accounting", reason="dp-accounting is not installed (extra `privacy`)")
TOPICS = {
    "card": "card payment bank declined machine purchase shop terminal",
    "travel": "flight hotel train ticket airport luggage journey visa",
    "food": "soup bread kitchen recipe dinner butter onion oven",
    "music": "guitar piano song concert drum melody choir violin",
}


class Toy:
    """Writes eight words of a topic that its key draws; of the same topic where the prompt ends with words of it."""

    digest, classes = "toy", ()

    def complete(self, requests):
        out = []
        for request in requests:
            draws = random.Random(request.key)
            asked = request.prompt.split("\n\n")[-1].split()
            topic = next((t for t, words in TOPICS.items() if asked and asked[-1] in words.split()), None)
            out.append(" ".join(draws.choices(TOPICS[topic or draws.choice(list(TOPICS))].split(), k=8)))
        return out


def open_toy(spec: str) -> Toy:
    return Toy()


open_toy.digest = lambda spec: "toy"


@pytest.fixture
def bank(tmp_path, monkeypatch):
    """300 users who write about cards, in a dataset with a ledger; two seeds, of one label each."""
    monkeypatch.setitem(models._OPENERS, "toy", f"{__name__}:open_toy")
    draws = random.Random(0)
    rows = [
        {
            "id": f"d{i}",
            "user": f"u{i % 300}",
            "label": "bank",
            "text": " ".join(draws.choices(TOPICS["card"].split(), k=8)),
        }
        for i in range(450)
    ]
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    seeds = [{"text": "bank", "label": "bank"}, {"text": "other", "label": "other"}]
    (tmp_path / "seeds.jsonl").write_text("".join(json.dumps(r) + "\n" for r in seeds))
    columns = {"id": "id", "user": "user", "label": "label"}
    sources = [{"name": "calls", "path": "private/*.jsonl", "columns": columns, "private": True}]
    privacy = {"population": "callers", "unit": "user", "units": 300, "epsilon": 4.0, "delta": 1e-4}
    run(load(write_recipe(tmp_path, ["clean"], sources=sources, privacy=privacy)), workers=1)
    monkeypatch.setattr(Secret.__init__, "__defaults__", (bytes(range(32)),))
    return tmp_path


def how(bank, **more):
    return Synthesis(**{"model": "toy:", "seeds": str(bank / "seeds.jsonl"), "keep": 12, "label": "label", **more})


def ledger_run(bank):
    return Ledger(bank / "out").entries()[0][0]["run"]


def about(rows, topic):
    """Share of texts whose words are mostly of a topic."""
    return np.mean([sum(w in TOPICS[topic].split() for w in r["text"].split()) > 4 for r in rows])


def test_votes_choose_texts_like_the_private_ones_and_the_card_says_what_it_cost(bank):
    out = bank / "made" / "texts.jsonl"
    args = ("privacy", "synthesize", bank / "out", "--model", "toy:", "--seeds", bank / "seeds.jsonl", "--out", out)
    said = invoke(*args, "--epsilon", "2", "--label", "label", "--keep", "12", "--rounds", "3")
    assert said.exit_code == 0, said.output
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    bank_rows, other = ([r for r in rows if r["label"] == label] for label in ("bank", "other"))
    assert about(bank_rows, "card") > 0.9  # the model writes of four topics alike
    assert about(other, "card") < 0.7  # nobody voted here
    ledger = Ledger(bank / "out")
    assert 1.98 < ledger.spent() <= 2.0
    assert not ledger.entries()[0][2]  # closed
    assert [p.name for p in sorted(out.parent.iterdir())] == ["texts.jsonl", "texts.jsonl.guarantee"]
    source = {"name": "made", "path": "made/texts.jsonl", "columns": {"id": "id", "label": "label"}}
    made = load(write_recipe(bank, ["clean"], sources=[source], name="synthetic.yaml", output={"path": "synthetic"}))
    run(made, workers=1)
    card = (bank / "synthetic" / "README.md").read_text()
    assert "chosen by private votes" in card
    assert "epsilon = 2.00" in card
    assert provenance._of_data(str(out), None).guarantees[0]["population"] == "callers"


def test_a_run_that_was_stopped_goes_on_with_the_same_votes_and_pays_once(bank, monkeypatch):
    out, data = str(bank / "texts.jsonl"), Dataset(str(bank / "out"))
    evolve = private_synthesis.evolve
    monkeypatch.setattr(private_synthesis, "evolve", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        synthesize(data, None, how(bank), out, 2.0, Ledger(bank / "out"))
    monkeypatch.setattr(private_synthesis, "evolve", evolve)
    with pytest.raises(PrivacyError, match="other settings"):
        synthesize(data, None, how(bank, keep=3), out, 2.0, Ledger(bank / "out"))
    synthesize(data, None, how(bank), out, 2.0, Ledger(bank / "out"))
    assert len(Ledger(bank / "out").entries()) == 1
    assert note.read(out)[0].runs == (ledger_run(bank),)
    with open(out, "a") as f:
        f.write("{}\n")
    assert "was changed" in note.read(out)[1]


def test_what_would_break_the_guarantee_is_refused(bank):
    data, ledger = Dataset(str(bank / "out")), Ledger(bank / "out")
    with pytest.raises(PrivacyError, match="seeds"):
        private = str(bank / "private" / "rows.jsonl")
        synthesize(data, None, how(bank, seeds=private), str(bank / "a.jsonl"), 2.0, ledger)
    ledger.spend(Event(kind="gaussian", sigma=1.2), "counts", "user")
    with pytest.raises(PrivacyError, match="spent already"):
        synthesize(data, None, how(bank), str(bank / "b.jsonl"), 2.0, ledger)
    assert not list(bank.glob("?.jsonl"))
