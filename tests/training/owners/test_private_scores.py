"""Scores of canaries: what the model says of their own targets, read as the run read its rows."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from corpusmill.training import build
from corpusmill.training.loop import train
from corpusmill.training.owners.private_scores import score
from corpusmill.transforms.errors import BadFileError
from tests.training.conftest import sentences


@pytest.fixture
def canaries(tmp_path):
    rows = [
        {"id": f"c{i}", "text": text, "label": ["dry", "rain"][i % 2], "member": i % 3 == 0}
        for i, text in enumerate(sentences(20, seed=5))
    ]
    (tmp_path / "members.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return tmp_path


def test_a_classifiers_score_is_the_log_probability_of_the_label(make, tmp_path, canaries):
    texts = sentences(30)
    labels = ["rain" if "rain" in t else "dry" for t in texts]
    pq.write_table(pa.table({"text": texts, "label": labels}), tmp_path / "docs.parquet")
    shape = {"model.kind": "encoder", "objective.name": "classification", "data.train": str(tmp_path / "docs.parquet")}
    settings = make(steps=3, **shape)
    train(settings)
    found = score(settings.output, canaries)
    assert found.column_names == ["id", "member", "score", "min_k"]
    assert found["member"].to_pylist() == [i % 3 == 0 for i in range(20)]
    loaded = build.load(settings.output)
    ids = torch.from_numpy(loaded.vocabulary.encode(sentences(20, seed=5)[:1])[0][:256])[None]
    with torch.no_grad():
        logits = loaded.model(input_ids=ids)
    assert float(logits.log_softmax(-1)[0, loaded.classes.index("dry")]) == pytest.approx(
        found["score"][0].as_py(), abs=1e-5
    )
    itself = score(settings.output, canaries / "members.jsonl", reference=settings.output)
    assert np.allclose(itself["score"].to_numpy(), 0)


@pytest.mark.parametrize(
    ("kind", "objective"), [("decoder", "causal"), ("encoder", "masked"), ("encoder-decoder", "span")]
)
def test_language_models_score_text_the_same_way_each_time(make, canaries, kind, objective):
    settings = make(steps=2, **{"model.kind": kind, "objective.name": objective})
    train(settings)
    found = score(settings.output, canaries)
    assert found.equals(score(settings.output, canaries))
    values, least = found["score"].to_numpy(), found["min_k"].to_numpy()
    assert np.isfinite(values).all()
    assert (least <= values + 1e-9).all()


def test_a_file_without_members_is_told(make, tmp_path):
    settings = make(steps=1)
    train(settings)
    (tmp_path / "x.jsonl").write_text('{"id": "a", "text": "b"}\n')
    with pytest.raises(BadFileError, match="no columns `id` and `member`"):
        score(settings.output, tmp_path / "x.jsonl")
