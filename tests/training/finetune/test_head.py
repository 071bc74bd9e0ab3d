"""A head on frozen features, in plain and in private training."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from corpusmill.privacy.ledger import Ledger
from corpusmill.privacy.settings import PrivacySettings
from corpusmill.training import build, private
from corpusmill.training.finetune import head
from corpusmill.training.loop import train
from corpusmill.transforms.errors import RecipeError
from tests.training.conftest import sentences, tiny


@pytest.fixture
def settings(tmp_path, tokenizer, shards):
    """settings(name, **more): of a classifier's run that starts from a run of an encoder."""
    train(tiny(tmp_path / "base", shards, tokenizer, steps=3, model__kind="encoder", objective__name="masked"))
    texts = sentences(120)
    rows = {
        "id": [f"d{i}" for i in range(120)],
        "text": texts,
        "label": ["rain" if "rain" in t else "dry" for t in texts],
    }
    pq.write_table(pa.table(rows), tmp_path / "docs.parquet")

    def made(name, **more):
        values = {"steps": 6, "data__length": 24, "batch__rows": 40, "objective__name": "classification"}
        values |= {"tune__base": str(tmp_path / "base"), "model__dropout": 0.2}
        values |= {"tune__method": "head"} if more.pop("named", True) else {}
        return tiny(tmp_path / name, tmp_path / "docs.parquet", tokenizer, **{**values, "optimizer__lr": 0.02, **more})

    return made


def test_only_the_head_trains_and_the_run_needs_its_base(settings, tmp_path):
    train(settings("run"))
    loaded = build.load(tmp_path / "run")
    assert sorted(build.trainable(loaded.model)) == ["classes.bias", "classes.weight"]
    base = build.load(tmp_path / "base").model
    assert torch.equal(loaded.model.base.embedding.weight, base.embedding.weight)


def test_a_private_run_over_all_documents_computes_features_once_and_gives_what_the_whole_model_gives(
    settings, tmp_path, monkeypatch
):
    pytest.importorskip("opacus")
    Ledger.create(tmp_path, "letters", "document", 50.0, 1e-4)
    wanted = PrivacySettings(ledger=str(tmp_path), unit="document", units=120, sigma=1e-9, mode="ghost")
    calls = []
    features = head.Classifier.features
    monkeypatch.setattr(head.Classifier, "features", lambda *a: calls.append(1) or features(*a))
    monkeypatch.setattr(Ledger, "reserve", lambda *a, **k: None)  # next to no noise costs more than any budget
    monkeypatch.setattr(private, "of_run", lambda *a: private.Guarantee.model_construct(certified=True))
    more = {"batch__rows": 120, "batch__micro_rows": 50}
    private.train(settings("known", named=False, **more), wanted)  # what trains where nothing is said
    assert len(calls) == 1
    monkeypatch.setattr(head, "precomputed", lambda *a: None)
    private.train(settings("whole", **more), wanted)
    first, second = (build.load(tmp_path / name).model.classes.weight for name in ("known", "whole"))
    assert torch.allclose(first, second, atol=1e-5)


def test_features_of_a_document_are_its_words_and_its_states_in_any_row(settings, tmp_path):
    train(settings("run"))
    model = build.load(tmp_path / "run").model
    ids = torch.tensor([[5, 6, 7, 0], [8, 9, 0, 0]])
    seen = model.features(ids, (ids != 0).long())
    assert seen.shape == (2, 2 * model.config.width)
    assert seen.norm(dim=1).tolist() == pytest.approx([(2 * model.config.width) ** 0.5] * 2, rel=1e-3)
    packed, segments = torch.tensor([[5, 6, 7, 8, 9]]), torch.tensor([[1, 1, 1, 2, 2]])
    alone = [model.classes(model.features(one)) for one in (ids[:1, :3], ids[1:, :2])]
    places = torch.tensor([[0, 1, 2, 0, 1]])
    assert torch.allclose(model(packed, segments, places)[0], torch.cat(alone), atol=1e-5)


def test_a_model_without_a_new_head_is_refused(settings, shards):
    with pytest.raises(RecipeError, match="this model has none"):
        train(settings("run", objective__name="masked", data__train=str(shards)))
