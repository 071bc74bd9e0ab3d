import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.transforms.clean.unicode_form import normalize


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
