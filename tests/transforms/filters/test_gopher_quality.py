import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.transforms.filters.gopher_quality import GopherQuality
from corpusmill.transforms.random import Keyed
from tests.transforms.filters.reference import HAND, batch, corpus_texts, gopher_quality, spaceless

ALPHABET = "aZ the of\n .#…-•3_é中文字，。「」かなไทยعر👍\u0301\ufe0f\u3000"


# rules that do not apply to scripts without spaces have no score there
NOT_APPLIED = ("word_length", "stop_words")


def compare(texts, scripts="adapt"):
    verdict = GopherQuality(scripts_without_spaces=scripts).judge(batch(texts), Keyed())
    for i, text in enumerate(texts):
        for name, value in gopher_quality(text, scripts == "adapt").items():
            if scripts == "adapt" and spaceless(text) and name in NOT_APPLIED:
                value = float("nan")
            assert verdict.scores[name][i] == pytest.approx(value, nan_ok=True), (name, text[:200])


@pytest.mark.parametrize("scripts", ["adapt", "as-is"])
def test_by_hand(scripts):
    compare(HAND, scripts)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.text(alphabet=ALPHABET, max_size=40) | st.text(max_size=20), max_size=4))
def test_any_text(texts):
    compare(texts)


def test_real_documents():
    compare(corpus_texts(150))


def test_each_rule_has_its_reason_and_value():
    prose = "It was the best of times and it was the worst of times that we have had with them "
    base = prose * 5
    cases = {
        "min_words": "the and of",
        "min_word_length": "a b of to " * 30,
        "max_word_length": "internationalisation of the constitutional responsibilities " * 30,
        "max_hash_ratio": base + "####### " * 3,
        "max_ellipsis_ratio": base + "... the " * 30,
        "max_bullet_lines": "\n".join(["- " + prose] * 10),
        "max_ellipsis_lines": "\n".join([prose + "..."] * 2 + [prose] * 3),
        "min_alpha_words": base + " 1111 " * 60,
        "min_stop_words": "word list without grammar " * 20,
    }
    for reason, text in cases.items():
        verdict = GopherQuality().judge(batch([text]), Keyed())
        assert verdict.reasons[verdict.codes[0]] == reason, text
        assert verdict.values[0] == verdict.scores[reason[4:]][0]
    assert GopherQuality().judge(batch([base]), Keyed()).kept.all()
    assert GopherQuality(max_words=10).judge(batch([base]), Keyed()).reasons[1] == "max_words"


def test_chinese_is_treated_as_chinese():
    text = "这本书讲述了如何用一种简单的方法来清理语料。每一章都有例子，读者可以自己试一试。" * 3
    assert spaceless(text)
    assert GopherQuality()(batch([text])).num_rows == 1
    verdict = GopherQuality(scripts_without_spaces="as-is").judge(batch([text]), Keyed())
    assert verdict.reasons[verdict.codes[0]] == "min_words"


def test_a_rule_can_be_switched_off_and_stop_words_replaced():
    text = "der die das und nicht mit von haus baum straße " * 10
    assert GopherQuality()(batch([text])).num_rows == 0
    assert GopherQuality(min_stop_words=None)(batch([text])).num_rows == 1
    assert GopherQuality(stop_words=("Der", "und"))(batch([text.upper()])).num_rows == 1


def test_empty_batch_nulls_and_slices():
    assert GopherQuality()(batch([])).num_rows == 0
    rows = pa.record_batch({"id": ["a", "b"], "text": pa.array([None, "x"])})
    assert GopherQuality().judge(rows, Keyed()).scores["words"].tolist() == [0, 1]
    assert GopherQuality().judge(rows.slice(1), Keyed()).scores["words"].tolist() == [1]
