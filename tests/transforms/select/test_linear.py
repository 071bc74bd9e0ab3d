"""The linear classifier: learning, determinism, calibration and its file."""

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.select._linear import Scorer, open_scorer, softmax
from corpusmill.transforms.select._train import calibrated, held_out, train
from tests.transforms.select.test_select import COOKING, SPORT, texts


def data(number: int = 300, seed: int = 0) -> tuple[pa.Array, np.ndarray]:
    good, bad = texts(COOKING, number, seed), texts(SPORT, number, seed + 1)
    return pa.array(good + bad), np.repeat([0, 1], number)


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return train(*data(), ("like", "unlike"), 2, 1 << 12, 5)


def test_it_tells_the_labels_apart(scorer):
    documents, labels = data(50, seed=9)
    assert (scorer.probabilities(documents).argmax(axis=1) == labels).all()


def test_equal_documents_in_any_order_give_the_same_weights(scorer):
    documents, labels = data()
    order = np.random.default_rng(3).permutation(len(labels))
    again = train(documents.take(pa.array(order)), labels[order], ("like", "unlike"), 2, 1 << 12, 5)
    assert (again.weights == scorer.weights).all()
    assert (again.bias == scorer.bias).all()
    assert again.temperature == scorer.temperature


def test_gradients_are_those_of_the_cross_entropy():
    """One document, one step of AdaGrad from zero: each weight moves by the rate, against the gradient's sign."""
    documents = pa.array(["alpha beta", "gamma delta epsilon zeta"])
    held = held_out(documents)
    assert not held.all()
    made = train(documents, np.array([0, 1]), ("a", "b"), 1, 1 << 16, 1)
    used = made.weights[np.abs(made.weights).max(axis=1) > 0]
    assert len(used) in (2, 4, 6)
    np.testing.assert_allclose(used[:, 0], -used[:, 1], atol=1e-6)


def test_shares_sum_to_one_and_blank_texts_get_the_bias(scorer):
    shares = scorer.probabilities(pa.array(["", None, "...", "unknown words only"]))
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert (shares[:3] == shares[0]).all()


def test_many_labels():
    documents, labels = [], []
    for k in range(7):
        documents += texts(f"topic{k} word{k} thing{k} common shared", 60, k)
        labels += [k] * 60
    made = train(pa.array(documents), np.array(labels), tuple(f"t{k}" for k in range(7)), 1, 1 << 12, 5)
    assert (made.probabilities(pa.array(documents)).argmax(axis=1) == labels).mean() > 0.99


def test_the_temperature_mends_overconfidence():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 4000)
    logits = np.zeros((4000, 2))
    right = rng.random(4000) < 0.75
    logits[np.arange(4000), np.where(right, labels, 1 - labels)] = 10  # sure, and wrong once in four
    shares = softmax(logits / calibrated(logits, labels))
    assert shares.max(axis=1).mean() == pytest.approx(0.75, abs=0.02)


def test_the_file_holds_the_same_scorer(scorer, tmp_path):
    path = str(tmp_path / "s.safetensors")
    scorer.save(path)
    again = open_scorer(path)
    documents, _ = data(20, seed=5)
    assert (again.logits(documents) == scorer.logits(documents)).all()
    assert (again.labels, again.order, again.temperature) == (scorer.labels, scorer.order, scorer.temperature)


@pytest.mark.parametrize("cut", [0, 1, 8, 100, 20_000])
def test_a_cut_file_is_an_error(scorer, tmp_path, cut):
    path = tmp_path / "s.safetensors"
    scorer.save(str(path))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(BadFileError, match="scorer"):
        open_scorer(str(path))


def test_other_files_and_weights_that_are_no_numbers_are_errors(scorer, tmp_path):
    from safetensors.numpy import save_file

    save_file({"x": np.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(BadFileError, match="no scorer"):
        open_scorer(str(tmp_path / "other.safetensors"))
    spoilt = scorer.weights.copy()
    spoilt[0, 0] = np.nan
    Scorer(scorer.labels, spoilt, scorer.bias, 2).save(str(tmp_path / "nan.safetensors"))
    with pytest.raises(BadFileError, match="damaged"):
        open_scorer(str(tmp_path / "nan.safetensors"))
    with pytest.raises(BadFileError):
        open_scorer(str(tmp_path / "absent.safetensors"))
