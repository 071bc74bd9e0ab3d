import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.transforms.filters.gopher_repetition import GopherRepetition
from corpusmill.transforms.random import Keyed
from tests.transforms.filters.reference import HAND, batch, corpus_texts, gopher_repetition


def compare(texts, scripts="adapt"):
    verdict = GopherRepetition(scripts_without_spaces=scripts).judge(batch(texts), Keyed())
    for i, text in enumerate(texts):
        for name, value in gopher_repetition(text, scripts == "adapt").items():
            assert verdict.scores[name][i] == pytest.approx(value), (name, text[:200])


@pytest.mark.parametrize("scripts", ["adapt", "as-is"])
def test_by_hand(scripts):
    compare(
        [
            *HAND,
            "Alpha，alpha alpha’ ALPHA é alphaé alpha，x " * 3,
            "a b a b a b c\n\na b a b a b c\n\n\n\nx",
            "一二三四一二三四一二三四五六七八九十一二三四",
        ],
        scripts,
    )


@settings(max_examples=500, deadline=None)
@given(st.lists(st.text(alphabet="ab \n", max_size=60) | st.text(alphabet="一二a \n\r", max_size=60), max_size=3))
def test_repetitive_text(texts):
    compare(texts)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text(text):
    compare([text])


def test_real_documents():
    compare([t[:8000] for t in corpus_texts(80, 1)])


def test_each_score_is_a_share():
    verdict = GopherRepetition().judge(batch(corpus_texts(60, 2) + ["a " * 5000]), Keyed())
    for score in verdict.scores.values():
        assert ((score >= 0) & (score <= 1)).all()


def test_reason_and_value():
    lines = "\n".join(["the same line again"] * 4 + [f"another line number {i}" for i in range(4)])
    verdict = GopherRepetition().judge(batch([lines, "every word here is a different one"]), Keyed())
    assert verdict.reasons[verdict.codes[0]] == "max_dup_lines"
    assert verdict.values[0] == pytest.approx(3 / 8)
    assert verdict.codes[1] == -1


def test_empty_batch_and_order_of_rows():
    assert GopherRepetition()(batch([])).num_rows == 0
    texts = ["a b " * 50, "x", "", "one two three " * 9]
    there = GopherRepetition().judge(batch(texts), Keyed()).scores["dup_5gram"]
    back = GopherRepetition().judge(batch(texts[::-1]), Keyed()).scores["dup_5gram"]
    assert there.tolist() == back[::-1].tolist()
