import numpy as np
import pytest

from corpusmill.transforms.web.features import WIDTH
from corpusmill.transforms.web.model import probabilities, trees


def test_the_shipped_trees_are_whole() -> None:
    roots, features, thresholds, children, leaves, leaf_roots = trees()
    assert len(roots) == len(leaf_roots) > 50
    assert len(features) == len(thresholds) == len(children)
    assert 0 <= features.min() <= features.max() < WIDTH
    ends = [*roots[1:], len(features)]
    leaf_ends = [*leaf_roots[1:], len(leaves)]
    for root, end, first, last in zip(roots, ends, leaf_roots, leaf_ends, strict=True):
        # each node and each leaf hangs on one other
        linked = sorted(children[root:end].ravel().tolist())
        assert linked == sorted([*range(first - last, 0), *range(1, end - root)])


def test_a_tree_by_hand(tmp_path) -> None:
    np.savez_compressed(
        tmp_path / "t.npz", width=np.int64(WIDTH), roots=np.array([0], np.int32), leaf_roots=np.array([0], np.int32),
        features=np.array([3, 5], np.int16), thresholds=np.array([1.0, 2.0], np.float32),
        children=np.array([[1, -1], [-2, -3]], np.int16), leaves=np.array([0.0, 1.0, -1.0], np.float32),
    )  # fmt: skip
    from corpusmill.transforms.web.model import _probabilities

    x = np.zeros((3, WIDTH), np.float32)
    x[0, 3] = 2  # right: leaf 0
    x[2, 5] = 3  # left, then right: leaf 2
    expected = 1 / (1 + np.exp([0.0, -1.0, 1.0]))
    assert np.allclose(_probabilities(x, *trees(tmp_path / "t.npz")), expected, atol=1e-6)


def test_trees_of_other_features_are_refused(tmp_path) -> None:
    np.savez(tmp_path / "t.npz", width=np.int64(1))
    with pytest.raises(ValueError, match="train anew"):
        trees(tmp_path / "t.npz")


def test_no_blocks() -> None:
    assert probabilities(np.zeros((0, WIDTH), np.float32)).shape == (0,)
