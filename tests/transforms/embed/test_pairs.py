"""Near pairs in blocks, survivors, and two levels of clusters."""

import numpy as np

from corpusmill.transforms.embed._survivors import survivors
from corpusmill.transforms.embed.hierarchy import two_levels
from corpusmill.transforms.embed.pairs import PARTNERS, equal, near


def vectors(n: int, seed: int = 0, spread: int = 60) -> np.ndarray:
    rng = np.random.default_rng(seed)
    base = rng.integers(-60, 60, (5, 64))
    return np.clip(base[np.arange(n) % 5] + rng.integers(-spread, spread, (n, 64)), -127, 127).astype(np.int8)


def test_pairs_are_those_of_all_products_whatever_the_block():
    v = vectors(60)
    wide = v.astype(np.int64)
    lengths = np.sqrt((wide**2).sum(axis=1))
    cosine = wide @ wide.T / np.outer(lengths, lengths)
    a, b = np.nonzero(np.triu(cosine >= 0.6, 1))
    few = {(x, y) for x in range(60) for y in b[a == x][np.argsort(-cosine[x, b[a == x]], kind="stable")[:PARTNERS]]}
    for block in (7, 16, 100):
        x, y, value = near(v, 0.6, block)
        assert set(zip(x.tolist(), y.tolist())) == {(int(i), int(j)) for i, j in few}
        assert np.array_equal(value, cosine[x, y])


def test_a_dense_cluster_makes_a_linear_number_of_pairs():
    x, _, _ = near(np.unique(vectors(400, spread=3)[::5], axis=0), 0.5, 64)
    assert len(x) <= PARTNERS * 80
    assert [len(c) for c in near(np.zeros((0, 64), np.int8), 0.5, 64)] == [0, 0, 0]


def test_equal_vectors_and_equal_texts_without_words():
    v = vectors(3)[[0, 1, 0, 2, 2]]
    v[3:] = 0
    assert equal(v, np.array([1, 2, 3, 9, 9], np.uint64)).tolist() == [0, 1, 0, 3, 3]


def test_survivors_of_chains_and_without_them():
    a, b, cosine = np.array([0, 1, 2]), np.array([1, 2, 3]), np.array([0.9, 0.8, 0.95])
    root, value = survivors(4, a, b, cosine, chain=True)
    assert root.tolist() == [0, 0, 0, 0]
    assert value[1:].tolist() == [0.9, 0.95, 0.95]
    root, value = survivors(4, a, b, cosine, chain=False)
    assert root.tolist() == [0, 0, 2, 2]
    assert value[[1, 3]].tolist() == [0.9, 0.95]


def test_coarse_clusters_are_cut_by_their_sizes():
    v = np.concatenate([vectors(300)[::5], vectors(60)[1::5]])
    order = np.arange(len(v), dtype=np.uint64) * np.uint64(7919)
    centres, groups = two_levels(v, order, 2, 6, 1)
    assert len(centres) == len(groups)
    assert set(groups.tolist()) == {0, 1}
    assert (groups == 0).sum() > (groups == 1).sum()
