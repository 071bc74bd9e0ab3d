"""Probabilities of fastText models, against fastText itself."""

import pyarrow as pa
import pytest

from corpusmill.transforms.select.fasttext.model import open_fasttext
from tests.transforms.select.fasttext.written import write_model

TEXTS = [
    "the river runs and runs",
    "",
    "</s> nothing behind the end",
    "naïve café 河流经山谷 unknown",
    "tabs\tand\x0bfeeds\x0c of __label__good and __label__none",
    "the\nriver\r\nruns  </s>",
    "don't, ñandú 😀 valley",
    "zero\0byte of it",
]
FORMS = {
    "softmax": {},
    "one word": {"order": 1, "buckets": 0},
    "subwords": {"order": 3, "characters": (2, 4)},
    "letters": {"order": 1, "characters": (1, 1)},
    "hs": {"loss": "hs"},
    "ova": {"loss": "ova", "characters": (3, 6)},
    "ns": {"loss": "ns", "dim": 3},
    "quantised": {"small": True, "characters": (2, 3), "dim": 7},
}


@pytest.mark.parametrize("form", FORMS)
def test_labels_and_probabilities_are_fasttexts(tmp_path, form):
    fasttext = pytest.importorskip("fasttext")
    path = str(write_model(tmp_path / "m.bin", **FORMS[form]))
    ours, theirs = open_fasttext(path), fasttext.load_model(path)
    found = ours.probabilities(pa.array(TEXTS))
    for text, row in zip(TEXTS, found):
        # fastText reads a line, and its Python module stops at a zero byte
        labels, chances = theirs.predict(text.replace("\n", " ").replace("\0", " "), k=4)
        assert ours.labels[row.argmax()] == labels[0].removeprefix("__label__")
        said = {label.removeprefix("__label__"): chance for label, chance in zip(labels, chances)}
        # fastText adds 1e-5, and looks sigmoids up in a table
        for label, chance in zip(ours.labels, row):
            assert said[label] == pytest.approx(chance, abs=0.02 if form in ("ova", "ns") else 2e-5)


def test_the_vectors_of_many_labels_give_what_direct_weights_give(tmp_path):
    path = str(write_model(tmp_path / "m.bin"))
    one, other = open_fasttext(path), open_fasttext(path)
    one.__dict__["_table"] = (one.contents.table, False)
    texts = pa.array([*TEXTS, None])
    assert abs(one.logits(texts) - other.logits(texts)).max() < 1e-5


def test_scores_do_not_depend_on_the_batch(tmp_path):
    model = open_fasttext(str(write_model(tmp_path / "m.bin", characters=(2, 3))))
    whole = model.logits(pa.array(TEXTS))
    assert [model.logits(pa.array([t]))[0].tolist() for t in TEXTS] == whole.tolist()


def test_log_odds_fit_the_probability(tmp_path):
    for loss in ("softmax", "hs", "ova"):
        model = open_fasttext(str(write_model(tmp_path / loss, loss=loss)))
        chance, odds = model.scored(pa.array(TEXTS), 1)
        assert chance == pytest.approx(model.probabilities(pa.array(TEXTS))[:, 1])
        assert 1 / (1 + 2.718281828459045**-odds) == pytest.approx(chance)
