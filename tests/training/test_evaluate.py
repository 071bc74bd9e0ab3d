"""Bits per byte by hand, per domain, and independent of the batch size."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from corpusmill.training import build, commands
from corpusmill.training.data import Arrays
from corpusmill.training.evaluate import measure
from corpusmill.training.loop import train
from corpusmill.training.objectives import Causal
from corpusmill.training.parallel import Parallel
from corpusmill.training.vocabulary import Vocabulary
from corpusmill.transforms.errors import DatasetError
from tests.training.conftest import sentences, write_shards


class Uniform(torch.nn.Module):
    """Every token is equally likely."""

    def forward(self, input_ids: torch.Tensor, **_: object) -> torch.Tensor:
        return torch.zeros(*input_ids.shape, 512)


def test_uniform_model_by_hand(make, tmp_path: Path, tokenizer: Path) -> None:
    """Each target costs 9 bits; bytes are those of the documents without their first token."""
    vocabulary = Vocabulary(tokenizer)
    texts = {"a": sentences(12, 1), "b": sentences(7, 2)}
    texts = {name: [t for t in part if len(vocabulary.encode([t])[0]) < 31] for name, part in texts.items()}
    for name, part in texts.items():
        write_shards(tmp_path / "held" / name, tokenizer, part, name, files=1)
    settings = make()
    data = build.rows_of(str(tmp_path / "held"), settings, vocabulary)
    result = measure(Uniform(), Causal(), data, vocabulary, Parallel(settings.runtime), settings)
    targets = size = 0
    for name, part in texts.items():
        lengths = vocabulary.bytes_of_tokens()
        rows = vocabulary.encode(part)
        mine = sum(len(row) for row in rows)  # the end token is a target, the first one is not
        text = sum(len(t.encode()) for t in part) - sum(int(lengths[row[0]]) for row in rows)
        domain = result["domains"][name]
        assert (domain["targets"], domain["bytes"]) == (mine, text)
        assert domain["bits_per_byte"] == pytest.approx(9 * mine / text)
        targets, size = targets + mine, size + text
    assert result["loss"] == pytest.approx(math.log(512))
    assert result["bits_per_byte"] == pytest.approx(9 * targets / size)


def test_bytes_of_tokens(tokenizer: Path) -> None:
    vocabulary = Vocabulary(tokenizer)
    lengths = vocabulary.bytes_of_tokens()
    for text in ("the red fox", "数据 很 好", "naïve — 😀\n\t x"):
        assert lengths[vocabulary.encode([text])[0]].sum() == len(text.encode())
        assert vocabulary.decode(vocabulary.encode([text])[0]) == text
    assert lengths[vocabulary.end] == 0
    assert lengths[vocabulary.size :].sum() == 0


def test_batch_size_does_not_matter(make, shards: Path) -> None:
    settings = make(steps=3, data__validation=str(shards))
    train(settings)
    loaded = build.load(settings.output)
    data = build.rows_of(str(shards), settings, loaded.vocabulary)
    results = []
    for rows in (1, 7, 64):
        sized = settings.model_copy(update={"batch": settings.batch.model_copy(update={"rows": rows})})
        results.append(measure(loaded.model, Causal(), data, loaded.vocabulary, Parallel(settings.runtime), sized))
    for other in results[1:]:
        assert other["targets"] == results[0]["targets"]
        assert other["bits_per_byte"] == pytest.approx(results[0]["bits_per_byte"], rel=1e-6)
    again = commands.evaluate(settings.output)
    assert again["loss"] == pytest.approx(results[0]["loss"], rel=1e-6)
    assert commands.evaluate(settings.output, rows=5)["targets"] < again["targets"]


def test_rows_without_a_target_are_no_perfect_score(make, tmp_path: Path, tokenizer: Path) -> None:
    """Documents of one token: nothing follows that a model could tell."""
    settings = make(steps=2)
    rows = Arrays({"input_ids": np.full((3, 2), 7), "segment_ids": np.array([[1, 2]] * 3)})
    arguments = (Uniform(), Causal(), rows, Vocabulary(tokenizer), Parallel(settings.runtime), settings)
    with pytest.raises(DatasetError, match="no token is a target of the objective causal"):
        measure(*arguments)
    with pytest.raises(DatasetError, match="Nothing was learned or written"):
        train(settings, data=rows)
    assert not (Path(settings.output) / "checkpoints").exists()


def test_some_rows_are_spread_over_all_sources(make) -> None:
    """Rows lie source by source: the first 4 of 12 would all be of one."""
    settings = make(evaluation__rows=4)
    vocabulary = build.vocabulary_of(settings)
    rows = Arrays({"input_ids": np.tile(np.arange(1, 9), (12, 1))}, ["a"] * 4 + ["b"] * 4 + ["c"] * 4)
    resolved = build.resolve(settings, vocabulary, 8)
    model = build.build(resolved, [])
    objective = build.objective_of(resolved, vocabulary)
    measured = measure(model, objective, rows, vocabulary, Parallel(resolved.runtime), resolved)
    assert set(measured["domains"]) == {"a", "b", "c"}
    assert measured["targets"] == 4 * 7


def test_classes_are_measured_one_by_one(make, tmp_path: Path) -> None:
    """Against counts by hand: one rare class, which a model that never says it gets no credit for."""
    rows = [
        {"text": f"the {w}", "label": label} for w, label in [("red", "a")] * 6 + [("blue", "b")] * 2 + [("rain", "c")]
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = make(objective__name="classification", model__kind="encoder", data__train=str(file), data__length=16)
    settings = settings.model_copy(update={"steps": 1})
    train(settings)
    loaded = build.load(settings.output)
    data = build.rows_of(str(file), settings, loaded.vocabulary, loaded.classes)
    said = np.array([0, 0, 0, 0, 0, 1, 1, 0, 0])

    class Says(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor, **_: object) -> torch.Tensor:
            return torch.nn.functional.one_hot(torch.from_numpy(said), 3).float()

    settings = settings.model_copy(update={"batch": settings.batch.model_copy(update={"rows": 9, "micro_rows": 9})})
    objective = build.objective_of(settings, loaded.vocabulary)
    result = measure(Says(), objective, data, loaded.vocabulary, Parallel(settings.runtime), settings)
    assert result["accuracy"] == pytest.approx(6 / 9)
    assert result["classes"]["a"] == pytest.approx({"targets": 6, "precision": 5 / 7, "recall": 5 / 6, "f1": 10 / 13})
    assert result["classes"]["b"] == pytest.approx({"targets": 2, "precision": 0.5, "recall": 0.5, "f1": 0.5})
    assert result["classes"]["c"] == pytest.approx({"targets": 1, "precision": 0.0, "recall": 0.0, "f1": 0.0})
    assert result["macro_f1"] == pytest.approx((10 / 13 + 0.5) / 3)


@pytest.mark.parametrize("pack", [True, False])
def test_balanced_classes_weigh_the_same(make, tmp_path: Path, pack: bool) -> None:
    rows = [{"text": f"the {w}", "label": label} for w, label in [("red", "a")] * 6 + [("blue", "b")] * 2]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = {"objective__class_weights": "balanced", "data__length": 32, "data__pack": pack}
    settings = make(objective__name="classification", model__kind="encoder", data__train=str(file), **values)
    vocabulary = build.vocabulary_of(settings)
    data = build.rows_of(str(file), settings, vocabulary)
    settings = build.resolve(settings, vocabulary, 32)
    model, objective = build.build(settings, data.classes).eval(), build.objective_of(settings, vocabulary)
    data = build.packed(data, model, settings)
    batch = objective.prepare(data.rows(np.arange(len(data))), np.zeros(len(data), np.uint64))
    total, count = objective.loss(model, {n: torch.from_numpy(c) for n, c in batch.items()})
    weights, labels = batch["weight"], batch["labels"]
    assert count == 8
    assert weights[labels == 0].sum() == pytest.approx(weights[labels == 1].sum()) == pytest.approx(4)
    assert total > 0
