"""The linear classifier: learns, is the same after saving, and says what it cannot do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from corpusmill.training.serving.linear import ABOUT, LETTERS, WEIGHTS, Linear, features, matrix, open_linear, rarities
from corpusmill.transforms.errors import BadFileError, DatasetError, RecipeError

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


def test_words_pairs_and_letters_are_features() -> None:
    offsets, ids = features(["a b a", "", "a", "A, b", "米饭"])
    parts = [ids[a:b] for a, b in zip(offsets, offsets[1:])]
    words = [p[p < LETTERS] for p in parts]
    letters = [p[p >= LETTERS] for p in parts]
    # a, b and the pairs "a b", "b a"; a text of one word is also its own pair
    assert [len(w) for w in words] == [4, 0, 2, 3, 3]
    # " a ", "a b", " b ", "b a"; a text without words is one space, which is no run of three
    assert [len(w) for w in letters] == [4, 0, 1, 3, 2]
    assert set(letters[3].tolist()) < set(letters[0].tolist())  # neither case nor punctuation counts
    assert (np.diff(letters[0].astype(object)) > 0).all()


def test_misspelt_words_are_known_by_their_letters() -> None:
    model = Linear.train(["payment refused", "refund my payment", "sunny weather", "weather forecast"], list("ppww"))
    assert [model.classes[i] for i in model.classify(["paymnt", "wether", "paymennts"]).argmax(axis=1)] == [
        "p",
        "w",
        "p",
    ]


def test_learns_shares_of_classes() -> None:
    targets = np.array([[0.7, 0.3], [0.3, 0.7]] * 20)
    model = Linear.fit(["one two", "three four"] * 20, targets, ["a", "b"], l2=0.0, steps=200)
    logits = model.classify(["one two"])[0]
    assert 1 / (1 + np.exp(logits[1] - logits[0])) == pytest.approx(0.7, abs=0.01)


def test_rare_features_weigh_more() -> None:
    given = features(["the sun", "the rain", "the wind"])
    known, rarity = rarities(given)
    x = matrix(given, known, rarity)
    assert np.allclose(np.asarray(x[:, :-1].multiply(x[:, :-1]).sum(axis=1)).ravel(), 1.0)
    assert rarity.max() == pytest.approx(np.log(4 / 2) + 1)
    assert rarity.min() == pytest.approx(1.0)


def test_saved_and_opened(tmp_path: Path) -> None:
    model = Linear.train(TEXTS, LABELS)
    folder = model.save(tmp_path / "m")
    again = open_linear(f"linear:{folder}")
    assert again.digest == model.digest == open_linear.digest(f"linear:{folder}")
    assert (again.classify(TEXTS) == model.classify(TEXTS)).all()
    (folder / ABOUT).write_text(json.dumps({"classes": ["a", "b", "c"], "digest": model.digest}))
    with pytest.raises(BadFileError, match="digest"):
        Linear.load(folder)
    from safetensors.numpy import save_file

    save_file({"features": model.known.view(np.int64), "weights": model.weights}, folder / WEIGHTS)
    with pytest.raises(BadFileError, match="has no rarity"):
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
