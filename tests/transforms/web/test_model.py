import numpy as np
import pytest

from corpusmill.transforms.web import model
from corpusmill.transforms.web.features import WIDTH
from corpusmill.transforms.web.model import kept, probabilities, trees


def test_the_shipped_trees_are_whole() -> None:
    depths, features, thresholds, children, leaves, highest, lowest = trees()
    n, t = len(features), len(depths)
    assert t == len(highest) == len(lowest) > 50
    assert len(thresholds) == len(children) == len(leaves) == n
    assert 0 <= features.min() <= features.max() < WIDTH
    leaf = children == np.arange(n)
    assert (leaves[~leaf] == 0).all()
    assert np.isinf(thresholds[leaf]).all()
    # each node but the roots hangs on one other
    left = children[~leaf].astype(int)
    assert sorted([*left, *(left + 1)]) == list(range(t, n))
    level = np.arange(t)
    for _ in range(depths.max()):
        level = np.unique(np.concatenate([children[level], children[level] + ~leaf[level]]))
    assert leaf[level].all()


def test_kept_is_what_the_probabilities_say() -> None:
    x = np.random.default_rng(1).normal(size=(500, WIDTH)).astype(np.float32) * 3
    for threshold in (0.1, 0.5, 0.8):
        assert (kept(x, threshold) == (probabilities(x) > threshold)).all()
    assert 0 < kept(x, 0.5).sum() < 500


def test_a_tree_by_hand(tmp_path, monkeypatch) -> None:
    np.savez_compressed(
        tmp_path / "t.npz", width=np.int64(WIDTH), roots=np.array([0], np.int32), leaf_roots=np.array([0], np.int32),
        features=np.array([3, 5], np.int16), thresholds=np.array([1.0, 2.0], np.float32),
        children=np.array([[1, -1], [-2, -3]], np.int16), leaves=np.array([0.0, 1.0, -1.0], np.float32),
    )  # fmt: skip
    x = np.zeros((3, WIDTH), np.float32)
    x[0, 3] = 2  # right: leaf 0
    x[2, 5] = 3  # left, then right: leaf 2
    expected = 1 / (1 + np.exp([0.0, -1.0, 1.0]))
    monkeypatch.setattr(model, "WEIGHTS", tmp_path / "t.npz")
    trees.cache_clear()
    assert np.allclose(probabilities(x), expected, atol=1e-6)
    trees.cache_clear()


def test_trees_of_other_features_are_refused(tmp_path) -> None:
    np.savez(tmp_path / "t.npz", width=np.int64(1))
    with pytest.raises(ValueError, match="train anew"):
        trees(tmp_path / "t.npz")


def test_no_blocks() -> None:
    assert probabilities(np.zeros((0, WIDTH), np.float32)).shape == (0,)
