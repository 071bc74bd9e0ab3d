"""`corpusmill.PrivacyEngine`: Opacus' make_private for datasets of ours."""

import json

import pytest
import torch
from torch import nn
from torch.nn import functional

pytest.importorskip("opacus")

import corpusmill
from corpusmill.privacy.ledger import Ledger
from corpusmill.transforms.errors import BudgetError, PrivacyError

LABELS = ["card", "transfer", "balance"]


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A dataset of 60 rows of 20 users, with a ledger."""
    monkeypatch.chdir(tmp_path)
    docs = [
        {"id": f"d{i}", "text": LABELS[i % 3] * (1 + i % 7), "user": f"u{i % 20}", "label": LABELS[i % 3]}
        for i in range(60)
    ]
    (tmp_path / "raw.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    source = {"name": "calls", "path": "raw.jsonl", "columns": {"id": "id", "user": "user", "label": "label"}}
    steps = [{"bound-units": {"by": "user", "max_rows": 3}}]
    corpusmill.run({"name": "c", "sources": [source | {"private": True}], "steps": steps, "output": "out"})
    Ledger.create("out", "callers", "user", 8.0, 1e-3, units=20)
    return corpusmill.open("out")


def collate(rows):
    x = torch.tensor([[len(t), t.count("a"), t.count("r")] for t in rows["text"].to_pylist()], dtype=torch.float32)
    return {"x": x, "label": torch.tensor([LABELS.index(x) for x in rows["label"].to_pylist()])}


def losses(model, batch):
    return functional.cross_entropy(model(batch["x"]), batch["label"], reduction="none")


def start(dataset, model, **more):
    given = {"steps": 4, "expected_batch_size": 10, "target_epsilon": 4.0, "max_rows": 3} | more
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return corpusmill.PrivacyEngine("out").make_private(
        module=model, optimizer=optimizer, dataset=dataset, collate=collate, loss=losses, **given
    )


def test_a_run_trains_pays_and_states_its_guarantee(made):
    model = nn.Linear(3, 3)
    before = model.weight.detach().clone()
    run = start(made, model)
    assert Ledger("out").spent() == pytest.approx(4.0, rel=0.02)
    assert list(run) == [1, 2, 3, 4]
    assert not torch.equal(model.weight, before)
    assert run.guarantee.certified
    assert run.guarantee.unit == "user"
    assert run.guarantee.epsilon == pytest.approx(4.0, rel=0.02)
    with pytest.raises(BudgetError):
        start(made, model, noise_multiplier=0.4, target_epsilon=None)


def test_steps_that_did_not_run_are_given_back(made):
    run = start(made, nn.Linear(3, 3))
    whole = Ledger("out").spent()
    next(iter(run))
    run.close()
    assert 0 < Ledger("out").spent() < whole


def test_what_breaks_the_guarantee_costs_nothing(made):
    class Mean(nn.Linear):
        def forward(self, x):
            return super().forward(x - x.mean(0))

    with pytest.raises(PrivacyError):
        start(made, Mean(3, 3))
    with pytest.raises(PrivacyError, match="more than 2 rows"):
        start(made, nn.Linear(3, 3), max_rows=2)
    assert Ledger("out").spent() == 0
    with pytest.raises(PrivacyError, match="one of the two"):
        start(made, nn.Linear(3, 3), noise_multiplier=1.0)


def test_data_that_is_not_certified_is_refused_before_it_is_read(made, tmp_path):
    source = {
        "name": "calls",
        "path": "raw.jsonl",
        "columns": {"id": "id", "user": "user", "label": "label"},
        "private": True,
    }
    corpusmill.run({"name": "m", "sources": [source], "steps": ["exact"], "output": "mixed"})
    with pytest.raises(PrivacyError, match="cannot be trained on privately"):
        start(corpusmill.open("mixed"), nn.Linear(3, 3))
