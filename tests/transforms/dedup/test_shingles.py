import re
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.transforms.dedup._shingles import shingle_sets


def sets(texts: list[str], n: int = 5) -> list[list[int]]:
    return shingle_sets(pa.array(texts, pa.string()), n).to_pylist()


@given(st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), max_size=60), st.integers(1, 7))
def test_as_many_as_distinct_n_grams_rising_and_overlapping_alike(words: list[str], n: int) -> None:
    got, shorter = sets([" ".join(words), " ".join(words[:-3])], n)
    grams = {tuple(words[i : i + n]) for i in range(len(words) - n + 1)} or ({tuple(words)} if words else set())
    assert len(got) == len(grams)
    assert got == sorted(set(got))
    if len(words) - 3 >= n:
        assert set(shorter) <= set(got)


def test_case_punctuation_and_white_space_do_not_count() -> None:
    a, b = sets(["The quick, brown fox\njumps over!", "the QUICK brown  fox jumps (over)"])
    assert a == b


def test_composed_and_decomposed_text_are_equal() -> None:
    text = "Füße über Äcker und Gräben für später"
    a, b = sets([unicodedata.normalize("NFD", text), text])
    assert a == b


@pytest.mark.parametrize("text", ["重複した文章を見つける", "重复的文本需要删除吗", "ข้อความซ้ำกัน"])
def test_scripts_without_spaces_are_cut_in_characters(text: str) -> None:
    marks = sum(unicodedata.category(c).startswith("M") for c in text)
    assert len(sets([text], 3)[0]) == len(text) - marks - 2
    a, b = sets([text, text + text[-1]], 3)
    assert set(a) <= set(b)


def test_short_texts_differ_and_no_words_have_none() -> None:
    got = sets(["one two", "two one", "one", "ONE two!", "", " \n", "!!! ... ---"])
    assert got[0] == got[3]
    assert len({tuple(x) for x in got[:3]}) == 3
    assert got[4:] == [[], [], []]


def test_a_short_text_is_no_shingle_of_a_long_one() -> None:
    short, exact, long = sets(["a b c d", "a b c d e", "a b c d e f"])
    assert not set(short) & set(long)
    assert set(exact) < set(long)


def test_golden() -> None:
    assert sets(["to be or not to be", "人之初性本善"]) == GOLDEN


GOLDEN = [[909587030, 2835003241], [1862786779, 2964369117]]


def test_slices_and_no_rows() -> None:
    texts = pa.array(["x", "a b c d e f", "y"])
    assert shingle_sets(texts.slice(1, 1), 5).to_pylist() == sets(["a b c d e f"])
    assert sets([]) == []


def test_jaccard_of_sets_equals_that_of_word_n_grams() -> None:
    rng = np.random.default_rng(3)
    vocabulary = [f"w{i}" for i in range(12)]
    for _ in range(50):
        a, b = (" ".join(rng.choice(vocabulary, 80)) for _ in range(2))
        left, right = (set(zip(*[re.findall(r"\w+", t)[i:] for i in range(2)])) for t in (a, b))
        x, y = (set(s) for s in sets([a, b], 2))
        assert len(x & y) == len(left & right)
        assert len(x | y) == len(left | right)
