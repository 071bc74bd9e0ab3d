"""Hashed word n-grams against counting them in plain Python."""

import re
from collections import Counter

import numpy as np
import pyarrow as pa

from corpusmill.transforms.select._ngrams import ngram_counts, ngram_sums

TEXTS = ["The cat and the dog", "a a a", "", None, "one", "the CAT; and\nthe dog", "这是一个句子"]


def grams(text: str, order: int) -> Counter:
    words = re.findall(r"\w+", text.lower())
    return Counter(tuple(words[i : i + n]) for n in range(1, order + 1) for i in range(len(words) - n + 1))


def test_every_ngram_of_every_order_counts_once():
    for order in (1, 2, 3):
        counts = ngram_counts(pa.array(TEXTS[:6]), order, 1 << 20)
        expected = sum((grams(t, order) for t in TEXTS[:6] if t), Counter())
        assert counts.sum() == expected.total()
        assert sorted(counts[counts > 0].tolist()) == sorted(expected.values())  # no collision in a million buckets


def test_case_punctuation_and_white_space_do_not_count():
    a, b = (ngram_counts(pa.array([t]), 2, 1000) for t in (TEXTS[0], TEXTS[5]))
    assert (a == b).all()


def test_scripts_without_spaces_have_a_word_a_character():
    assert ngram_counts(pa.array([TEXTS[6]]), 1, 1000).sum() == 6


def test_sums_are_the_weights_of_a_documents_own_ngrams():
    weights = np.random.default_rng(1).normal(size=500)
    texts = pa.array(TEXTS)
    sums, number = ngram_sums(texts, 2, weights)
    for i, text in enumerate(TEXTS):
        counts = ngram_counts(pa.array([text], pa.string()), 2, 500)
        assert number[i] == counts.sum()
        np.testing.assert_allclose(sums[i], counts @ weights, atol=1e-9)


def test_slices_and_empty_arrays():
    texts = pa.array(TEXTS).slice(1, 2)
    assert (ngram_counts(texts, 2, 100) == ngram_counts(pa.array(TEXTS[1:3]), 2, 100)).all()
    assert ngram_counts(pa.array([], pa.string()), 2, 100).sum() == 0
