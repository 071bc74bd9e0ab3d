"""What a teacher says, calibrated, evened and spread: shapes, shards, labels that the teacher does not know."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.pipelines.selftrain.pseudo_labels import Documents
from corpusmill.transforms.errors import RecipeError

WORDS = {"a": "card money bank fee".split(), "b": "sun rain cloud wind".split()}


def table(count: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    labels = ["ab"[i % 2] for i in range(count)]
    texts = [" ".join([*rng.choice(WORDS[label], 2), *rng.choice(["the", "of", "in"], 2)]) for label in labels]
    return pa.table({"id": [f"{seed}-{i}" for i in range(count)], "text": texts, "label": labels})


def logits(labels: list[str], seed: int, wrong: float = 0.25) -> np.ndarray:
    """A teacher that is as sure of its mistakes as of what it knows."""
    rng = np.random.default_rng(seed)
    right = np.array([label == "a" for label in labels]) ^ (rng.random(len(labels)) < wrong)
    return np.stack((np.where(right, 3.0, 0.0), np.where(right, 0.0, 3.0)), axis=1)


@pytest.mark.parametrize("rows", [1000, 33])
def test_neighbours_put_mistakes_right_in_any_shards(rows: int) -> None:
    known, held, rest = table(10, 1), table(40, 2), table(100, 3)
    truth = np.array(rest["label"].to_pylist())
    z, spoken = logits(truth.tolist(), 4), logits(held["label"].to_pylist(), 5)
    documents = Documents(known, held, rest, rows)
    alone = documents.probabilities(["a", "b"], z, spoken, 1.0, 0.0)
    p = documents.probabilities(["a", "b"], z, spoken, 1.0, 0.9)
    right = [(np.array(["a", "b"])[s.shares.argmax(axis=1)] == truth).mean() for s in (alone, p)]
    assert right[0] < 0.85 < 0.95 < right[1]
    assert p.shares.shape == (100, 2)
    assert np.allclose(p.shares.sum(axis=1), 1)
    assert len(p.held) == len(p.wanted) == 40 * len(documents.graphs)
    assert np.abs(alone.shares.max(axis=1).mean() - 0.75) < 0.12  # it says 95 %, and is calibrated


def test_labels_that_the_teacher_does_not_know_calibrate_nothing() -> None:
    known, held, rest = table(10, 1), table(40, 2), table(20, 3)
    odd = held.set_column(2, "label", pa.array(["c"] * 10 + held["label"].to_pylist()[10:]))
    z, spoken = logits(rest["label"].to_pylist(), 4), logits(held["label"].to_pylist(), 5)
    p = Documents(known, odd, rest, 1000).probabilities(["a", "b"], z, spoken, 1.0, 0.9)
    assert (p.wanted[:10] == -1).all()
    with pytest.raises(RecipeError, match="held-out labels"):
        none = held.set_column(2, "label", pa.array(["c"] * 40))
        Documents(known, none, rest, 1000).probabilities(["a", "b"], z, spoken, 1.0, 0.9)


def test_nothing_to_label() -> None:
    known, held, rest = table(10, 1), table(40, 2), table(0, 3)
    spoken = logits(held["label"].to_pylist(), 5)
    p = Documents(known, held, rest, 1000).probabilities(["a", "b"], np.zeros((0, 2)), spoken, 1.0, 0.9)
    assert p.shares.shape == (0, 2)
