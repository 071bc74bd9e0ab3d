import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.filters.length import Length
from corpusmill.transforms.random import Keyed
from tests.transforms.filters.reference import HAND, batch, rule_words

BLANK = ["\u3000\n\u00a0\u2028 \n\x85", "\x1f\n\x00\n\x7f", "a\u3000\n\u3000b\n \ufeff"]


@given(st.lists(st.text(max_size=30), max_size=3))
def test_counts(texts):
    texts = texts + HAND + BLANK
    scores = Length().judge(batch(texts), Keyed()).scores
    assert scores["chars"].tolist() == [len(t) for t in texts]
    assert scores["words"].tolist() == [len(rule_words(t)) for t in texts]
    assert scores["lines"].tolist() == [sum(not line.isspace() for line in t.split("\n") if line) for t in texts]
    assert scores["bytes"].tolist() == [len(t.encode()) for t in texts]


def test_bounds_are_inclusive_and_name_their_rule():
    texts = ["", "a", "a b c", "中文字", "a\n\n \nb\nc"]
    verdict = Length(min_words=2, max_chars=6, max_lines=2).judge(batch(texts), Keyed())
    named = [verdict.reasons[c] if c >= 0 else None for c in verdict.codes]
    assert named == ["min_chars", "min_words", None, None, "max_chars"]
    assert Length(max_lines=2)(batch(texts)).column("id").to_pylist() == ["1", "2", "3"]
    assert Length(max_bytes=3)(batch(texts)).column("id").to_pylist() == ["1"]
    assert Length(min_words=2, scripts_without_spaces="as-is")(batch(texts)).column("id").to_pylist() == ["2", "4"]
    assert Length()(batch([])).num_rows == 0


def test_contradicting_bounds_are_refused():
    with pytest.raises(RecipeError, match="no document would be kept"):
        Length(min_words=5, max_words=4)
