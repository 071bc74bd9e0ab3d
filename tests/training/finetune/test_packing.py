"""Packed rows of documents: full, of one domain, and with the losses that the documents have alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from corpusmill.training import build
from corpusmill.training.finetune.documents import Documents
from corpusmill.training.finetune.packing import Packed, bins
from corpusmill.training.loop import train
from corpusmill.training.vocabulary import Vocabulary
from tests.training.conftest import sentences


def test_no_row_is_too_long_and_few_are_needed():
    rng = np.random.default_rng(0)
    for room in (64, 257):
        sizes = rng.integers(1, room + 1, 500).tolist()
        rows = bins(sizes, room)
        assert sorted(i for row in rows for i in row) == list(range(500))
        assert max(sum(sizes[i] for i in row) for row in rows) <= room
        least = max(sum(sizes) / room, sum(2 * size > room for size in sizes))
        assert len(rows) <= 1.06 * least + 1
    assert bins([9, 3, 9], 8) == [[0], [2], [1]]


def _rows(path: Path, task: str) -> str:
    texts = sentences(60, 3)
    names = {
        "classification": ("text", "label"),
        "text-to-text": ("text", "target"),
        "instruction": ("instruction", "output"),
    }
    first, second = names[task]
    rows = [{first: t, second: t.split()[0], "source": "ab"[i % 2]} for i, t in enumerate(texts)]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        ("classification", "encoder"),
        ("classification", "decoder"),
        ("instruction", "decoder"),
        ("text-to-text", "decoder"),
        ("text-to-text", "encoder-decoder"),
    ],
)
def test_the_loss_is_that_of_the_documents_alone(make, tmp_path: Path, tokenizer: Path, task: str, kind: str) -> None:
    file = _rows(tmp_path / "a.jsonl", task)
    settings = make(objective__name=task, model__kind=kind, data__train=file, data__length=96)
    vocabulary = Vocabulary(tokenizer)
    data = Documents(file, settings, vocabulary)
    packed = Packed(data, 96)
    assert len(packed) < 0.5 * len(data)
    assert {len(set(data.source_of[row])) for row in packed.members} == {1}
    settings = build.resolve(settings, vocabulary, 96)
    model, objective = build.build(settings, data.classes).eval(), build.objective_of(settings, vocabulary)
    sums = []
    for rows in (data, packed):
        batch = objective.prepare(rows.rows(np.arange(len(rows))), np.zeros(len(rows), np.uint64))
        with torch.no_grad():
            sums.append(objective.loss(model, {n: torch.from_numpy(c) for n, c in batch.items()}))
    assert sums[0][1] == sums[1][1] > 0
    torch.testing.assert_close(sums[0][0], sums[1][0], rtol=1e-5, atol=1e-5)
    batch = packed.rows(np.arange(len(packed)))
    assert (batch["segment_ids"] != 0).mean() > 0.8


def test_a_run_packs_unless_it_is_told_not_to(make, tmp_path: Path) -> None:
    file = _rows(tmp_path / "a.jsonl", "classification")
    values = {
        "objective__name": "classification",
        "model__kind": "encoder",
        "data__train": file,
        "data__validation": file,
    }
    figures = []
    for pack in (True, False):
        settings = make(**values, data__pack=pack, data__length=96, steps=4, output=str(tmp_path / str(pack)))
        figures.append(train(settings)["validation"])
    assert figures[0]["targets"] == figures[1]["targets"] == 60
    assert set(figures[0]["domains"]) == {"a", "b"}
    assert figures[0]["loss"] != figures[1]["loss"]  # a step saw more documents
