"""The linear classifier: learns, is the same after saving, and says what it cannot do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from training.linear import ABOUT, Linear, features, open_linear
from transforms.errors import BadFileError, DatasetError, RecipeError

TEXTS = ["pay the card fee", "card money fee", "sun and rain", "rain wind sun", "米饭很好吃", "鱼汤很好吃"]
LABELS = ["pay", "pay", "sky", "sky", "菜", "菜"]


def test_learns_words_of_any_script() -> None:
    model = Linear.train(TEXTS, LABELS)
    assert model.classes == ["pay", "sky", "菜"]
    found = model.classify(["a fee", "much rain", "很好吃的鱼", "", "unknown words"])
    assert found.argmax(axis=1)[:3].tolist() == [0, 1, 2]
    assert np.isfinite(found).all()
    assert model.classify([]).shape == (0, 3)


def test_each_text_is_judged_alone() -> None:
    model = Linear.train(TEXTS, LABELS)
    assert np.concatenate([model.classify([t]) for t in TEXTS]).tobytes() == model.classify(TEXTS).tobytes()


def test_words_and_pairs_are_features() -> None:
    offsets, ids = features(["a b a", "", "a"])
    assert np.diff(offsets).tolist() == [
        4,
        0,
        2,
    ]  # a, b and the pairs "a b", "b a"; a text of one word is also its own pair
    assert len(np.unique(ids[:4])) == 4


def test_saved_and_opened(tmp_path: Path) -> None:
    model = Linear.train(TEXTS, LABELS)
    folder = model.save(tmp_path / "m")
    again = open_linear(f"linear:{folder}")
    assert again.digest == model.digest == open_linear.digest(f"linear:{folder}")
    assert (again.classify(TEXTS) == model.classify(TEXTS)).all()
    (folder / ABOUT).write_text(json.dumps({"classes": ["a", "b", "c"], "digest": model.digest}))
    with pytest.raises(BadFileError, match="digest"):
        Linear.load(folder)
    with pytest.raises(DatasetError, match="no linear classifier"):
        Linear.load(tmp_path)


def test_refusals() -> None:
    with pytest.raises(RecipeError, match="two labels"):
        Linear.train(["a"], ["x"])
    model = Linear.train(TEXTS, LABELS)
    for ask in (model.complete, model.score):
        with pytest.raises(RecipeError):
            ask([])
