"""Lexicons, mentions and rates."""

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.people.lexicon import built_in, load
from corpusmill.transforms.people.mentions import Counts, flags
from corpusmill.transforms.people.rates import fisher, holm, wilson


def test_words_match_whole_in_any_case_and_script():
    texts = pa.array(
        ["SHE left.", "The sheriff", "Männer und Frauen", "她是工程师", None, "they’re nuns; a Trans  woman", "éshe"]
    )
    found = flags(texts, [None] * 7, built_in())
    assert found["gender.female"].tolist() == [True, False, True, True, False, True, False]
    assert found["gender.male"].tolist() == [False, False, True, False, False, False, False]
    assert found["gender.nonbinary"].tolist() == [False] * 5 + [True, False]


def test_the_language_of_a_document_chooses_its_lexicon():
    texts = pa.array(["Mutter", "Mutter", "Mutter"])
    found = flags(texts, ["de", "en", "xx"], built_in())
    assert found["gender.female"].tolist() == [True, False, True]


def test_sentences_count_what_stands_together():
    counts = Counts()
    text = 'The nurse smiled. She is an engineer! "I know," she said. He is a nurse.\nA boy. She left.'
    counts.add(pa.array([text, ""]), ["en", None], built_in())
    assert (counts.documents, counts.sentences) == (2, 6)
    assert counts.named["gender.female"] == 3
    assert counts.together["gender.female", "technical_work"] == 1
    assert counts.together["gender.female", "quoted"] == 1
    assert counts.together["gender.male", "care_work"] == 1
    assert counts.together["gender.male", "quoted"] == 0


def test_a_file_replaces_the_lexicon_of_its_language(tmp_path):
    path = tmp_path / "en.yaml"
    path.write_text("language: en\nsource: me\naxes: {crew: {red: [scarlet]}}\n")
    assert [x.source for x in load([str(path)]) if x.language == "en"] == ["me"]
    path.write_text("language: en\nsource: me\naxis: {}\n")
    with pytest.raises(RecipeError, match="axis"):
        load([str(path)])
    with pytest.raises(RecipeError, match=r"no\.yaml"):
        load([str(tmp_path / "no.yaml")])


def test_intervals_hold_the_rate_as_often_as_they_say():
    rng = np.random.default_rng(1)
    for rate in (0.01, 0.2, 0.5):
        hits = rng.binomial(400, rate, 1000)
        inside = [low <= rate <= high for low, high in (wilson(int(h), 400) for h in hits)]
        assert np.mean(inside) > 0.92


def test_the_exact_test_has_no_more_false_alarms_than_its_level():
    rng = np.random.default_rng(2)
    hits = zip(rng.binomial(60, 0.1, 800).tolist(), rng.binomial(300, 0.1, 800).tolist())
    alarms = [fisher(a, 60 - a, c, 300 - c) < 0.05 for a, c in hits]
    assert np.mean(alarms) < 0.05
    assert fisher(0, 0, 5, 5) == 1.0
    assert holm([]) == []
