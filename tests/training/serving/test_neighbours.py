"""Labels that spread between similar texts."""

from __future__ import annotations

import numpy as np

from corpusmill.training.serving.neighbours import Neighbours


def test_a_cluster_brings_its_odd_one_over() -> None:
    texts = [f"send {word} money" for word in "some more much little his her".split()]
    texts += [f"the {word} sky" for word in "blue grey dark wide clear low".split()]
    shares = np.array([[0.9, 0.1]] * 6 + [[0.1, 0.9]] * 6)
    shares[3] = [0.3, 0.7]  # the teacher is wrong
    found = Neighbours(texts, 3).spread(shares, 0.8)
    assert found.argmax(axis=1).tolist() == [0] * 6 + [1] * 6
    assert np.allclose(found.sum(axis=1), 1)
    assert np.allclose(Neighbours(texts, 3).spread(shares, 0.0), shares)


def test_graph_is_symmetric_and_the_same_in_any_order() -> None:
    rng = np.random.default_rng(1)
    words = np.array([f"w{i}" for i in range(40)])
    texts = [" ".join(rng.choice(words, 6)) for _ in range(700)]  # more than a stripe
    graph = Neighbours(texts).graph
    assert abs(graph - graph.T).max() < 1e-12
    order = rng.permutation(len(texts))
    again = Neighbours([texts[i] for i in order]).graph
    shares = rng.dirichlet(np.ones(3), len(texts))
    one = Neighbours(texts).spread(shares, 0.5)
    other = Neighbours([texts[i] for i in order]).spread(shares[order], 0.5)
    assert np.allclose(one[order], other, atol=1e-3)  # but for ties between equal cosines
    assert again.nnz == graph.nnz


def test_texts_without_neighbours_keep_what_is_said_of_them() -> None:
    shares = np.array([[0.8, 0.2], [0.4, 0.6], [0.5, 0.5]])
    for texts in (["", "", ""], ["米饭", "天空", "abc"]):
        assert np.allclose(Neighbours(texts).spread(shares, 0.9), shares)
    assert Neighbours(["one"]).spread(shares[:1], 0.9).tolist() == [[0.8, 0.2]]
    assert Neighbours([]).spread(shares[:0], 0.9).shape == (0, 2)
