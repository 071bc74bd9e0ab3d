import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.transforms.filters import statistics as s
from corpusmill.transforms.unicode import strip
from tests.transforms.filters.reference import HAND, alone, ends_sentence, rule_words


def buffer(text):
    return np.frombuffer(text.encode() + b"\0", np.uint8), len(text.encode())


@pytest.mark.parametrize("text", HAND)
def test_words(text):
    flags, _, mask = s.word_tables("adapt")
    data, n = buffer(text)
    words = rule_words(text)
    assert s.count_words(data, 0, n, flags, mask) == (
        len(words), sum(map(alone, text)), len(text), max(map(len, words), default=0)
    )  # fmt: skip


@given(st.text(alphabet=" \n\tab中.\u3000\x85\xa0", max_size=12))
def test_strip_and_ends(text):
    flags = s.word_tables("adapt")[0]
    data, n = buffer(text)
    a, b = strip(data, 0, n, flags)
    assert bytes(data[a:b]).decode() == text.strip()
    assert s.ends_sentence(data, a, b, flags, s.marks()) == ends_sentence(text.strip())


@pytest.mark.parametrize(
    ("text", "sentences"),
    [("", 0), ("...", 0), ("One", 1), ("One. Two? Three!", 3), ('He said "yes." Then 3.5 more.', 2), ("你好。再见！“好吗？”好", 4),
     ("これは文です。これも。", 2), ("Wait... what?!", 2), ("كيف حالك؟ بخير.", 2), ("(Really?) Yes", 2)],
)  # fmt: skip
def test_sentences(text, sentences):
    data, n = buffer(text)
    assert s.count_sentences(data, 0, n, s.word_tables("adapt")[0], s.marks()) == sentences


def test_closing_quotes_and_brackets_are_known():
    marks = s.marks()
    assert all(marks[c] & s.CLOSE for c in range(0x3100) if unicodedata.category(chr(c)) in ("Pe", "Pf"))
