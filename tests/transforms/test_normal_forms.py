import random
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.transforms.normal_forms import _classes, normalize


@pytest.mark.parametrize("form", ["NFC", "NFKC"])
@settings(max_examples=300, deadline=None)
@given(texts=st.lists(st.text(), max_size=6))
def test_equals_unicodedata(form, texts):
    assert normalize(pa.array(texts, pa.string()), form).to_pylist() == [unicodedata.normalize(form, t) for t in texts]


@pytest.mark.parametrize("form", ["NFC", "NFKC"])
def test_every_code_point_alone_and_behind_a_letter(form):
    points = [chr(c) for c in range(0x80, 0x32000) if not 0xD800 <= c < 0xE000]
    texts = ["".join(points[i : i + 1]) for i in range(len(points))] + ["e" + p + "\u0301" for p in points[:0x3000]]
    assert normalize(pa.array(texts), form).to_pylist() == [unicodedata.normalize(form, t) for t in texts]


def test_hangul_and_compatibility_ideographs():
    assert normalize(pa.array(["\u1100\u1161\u11a8", "\uf900", "が"]), "NFC").to_pylist() == ["각", "豈", "が"]


def test_nothing_to_do_is_the_same_array():
    array = pa.array(["plain", "schön", "你好", "", None])
    assert normalize(array, "NFC") is array
    assert normalize(array, "NFKC") is array


def test_null_stays_null():
    assert normalize(pa.array([None, "e\u0301"]), "NFC").to_pylist() == [None, "é"]


def test_marks_of_every_class_are_known():
    classes = _classes()
    for c in (c for c in range(0x110000) if not 0xD800 <= c < 0xE000):
        assert classes[c] == unicodedata.combining(chr(c)), hex(c)


@pytest.mark.parametrize("form", ["NFC", "NFKC"])
@settings(max_examples=200, deadline=None)
@given(
    runs=st.lists(
        st.tuples(
            st.sampled_from(["", "a", "é", "\u1e69", "각", "ﬁ", "\u00a8", "\u0f40"]),
            st.lists(st.sampled_from("\u0301\u0323\u0344\u0308\u0f71\u0f72\u05b0\u0345\u0327\u3099"), max_size=120),
        ),
        max_size=4,
    )
)
def test_long_runs_of_marks_equal_unicodedata(form, runs):
    text = "".join(base + "".join(marks) for base, marks in runs)
    assert normalize(pa.array([text]), form).to_pylist() == [unicodedata.normalize(form, text)]


def test_a_hundred_thousand_alternating_marks():
    text = "a" + "\u0301\u0323" * 50_000
    assert normalize(pa.array([text]), "NFC").to_pylist() == ["ạ" + "\u0323" * 49_999 + "\u0301" * 50_000]


@pytest.mark.parametrize("form", ["NFC", "NFKC"])
def test_random_strings_of_characters_that_decompose_compose_or_reorder_equal_unicodedata(form):
    special = [
        chr(c)
        for c in range(0x20, 0x30000)
        if not 0xD800 <= c < 0xE000 and (unicodedata.decomposition(chr(c)) or unicodedata.combining(chr(c)))
    ]
    jamo = [chr(c) for c in range(0x1100, 0x1200)] + [chr(0xAC00 + 28 * k) for k in range(40)]
    rng = random.Random(5)
    pools = [special, jamo, list("abcé ") + special[:400]]
    texts = ["".join(rng.choice(rng.choice(pools)) for _ in range(rng.randrange(1, 60))) for _ in range(20_000)]
    got = normalize(pa.array(texts), form).to_pylist()
    assert got == [unicodedata.normalize(form, t) for t in texts]
    sliced = pa.array(["x", "e\u0301", None, *texts[:50]]).slice(1)
    assert normalize(sliced, form).to_pylist() == ["é", None, *got[:50]]
