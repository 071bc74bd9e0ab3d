"""ARPA files give the scores of the model that they hold; other files are refused by what they are."""

import gzip

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.ngrams._symbols import text_symbols
from corpusmill.transforms.ngrams._table import open_model
from tests.transforms.ngrams.reference import Reference
from tests.transforms.ngrams.test_smoothing import sentences


@pytest.fixture(scope="module")
def reference():
    return Reference([t.split() for t in sentences(200)], 3)


@pytest.fixture(scope="module")
def text(reference):
    return reference.arpa()


def scores(path, texts):
    return open_model(str(path)).log_probabilities(*text_symbols(pa.array(texts), "pieces"))


def test_scores_are_the_model_s(tmp_path, text, reference):
    path = tmp_path / "m.arpa.gz"
    path.write_bytes(gzip.compress(text.encode()))
    probes = [*sentences(20, 5), "w1 strange w2"]
    assert np.allclose(scores(path, probes), [reference.log_probability(t.split()) for t in probes], rtol=1e-3)


def test_scores_agree_with_kenlm(tmp_path, text):
    kenlm = pytest.importorskip("kenlm")
    path = tmp_path / "m.arpa"
    path.write_text(text)
    probes = [*sentences(50, 6), "w1 strange w2"]
    model = kenlm.Model(str(path))
    theirs = [model.score(t) * np.log(10) for t in probes]
    assert np.allclose(scores(path, probes), theirs, rtol=1e-3)


def test_ends_that_a_pruned_file_lacks_are_backed_off(tmp_path):
    """`b c` is not there, though `a b c` is."""
    path = tmp_path / "m.arpa"
    path.write_text(
        "\\data\\\nngram 1=6\nngram 2=2\nngram 3=1\n\n\\1-grams:\n"
        "-2 <unk>\n-99 <s> -0.5\n-1 </s>\n-1 a -0.25\n-1.5 b -0.125\n-0.75 c -0.25\n\n"
        "\\2-grams:\n-0.5 <s> a -0.1\n-0.4 a b -0.3\n\n\\3-grams:\n-0.2 a b c\n\n\\end\\\n"
    )
    got = scores(path, ["a b c", "b c"])
    whole = -0.5 + (-0.4 - 0.1) - 0.2 + (-1 - 0.25)
    assert np.allclose(got / np.log(10), [whole, (-1.5 - 0.5) + (-0.75 - 0.125) + (-1 - 0.25)], atol=2e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[: len(t) // 2].rsplit("\n", 1)[0], "too early|has no section"),
        (lambda t: t.replace("\\2-grams:\n-", "\\2-grams:\n-x"), "line .* is no line of 2 words"),
        (lambda t: t.replace("ngram 3=", "ngram 3=99999"), "more than fit|too early"),
        (lambda t: "mmap lm http://kheafield.com/code format version 5\n\0" + t, "binary file of KenLM.*arpa"),
        (lambda t: "", "is no n-gram model"),
        (lambda t: "no model at all", "is no n-gram model"),
    ],
)
def test_other_files_are_refused(tmp_path, text, change, message):
    path = tmp_path / "m.bin"
    path.write_text(change(text))
    with pytest.raises(BadFileError, match=message):
        open_model(str(path))
