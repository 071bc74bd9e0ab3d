import re
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.unicode import NFC_CHECK, needs_nfc, next_word, tables

FLAGS, LOWER = tables()


@njit
def _spans(data, stop, flags, lower):
    out = [(0, 0, np.uint64(0))][1:]
    i = 0
    while True:
        a, b, h = next_word(data, i, stop, flags, lower)
        if a >= stop:
            return out
        out.append((a, b, h))
        i = b


def words(text):
    raw = text.encode()
    data = np.frombuffer(raw or b"\0", np.uint8)
    return [(raw[a:b].decode(), int(h)) for a, b, h in _spans(data, len(raw), FLAGS, LOWER)]


def test_words_of_many_scripts():
    assert [w for w, _ in words("Héllo wörld! x_1 — café ⚠️ naïve")] == ["Héllo", "wörld", "x_1", "café", "naïve"]
    assert [w for w, _ in words("中文ab 日本語テスト")] == list("中文") + ["ab"] + list("日本語テスト")
    assert [w for w, _ in words("สวัสดี")] == ["ส", "วั", "ส", "ดี"]
    assert [w for w, _ in words("नमस्ते दुनिया")] == ["नमस्ते", "दुनिया"]
    assert words("") == words(" \n\t!?.") == []


def test_case_does_not_change_the_hash():
    for a, b in (("Straße", "straße"), ("ÉCOLE", "école"), ("ΣΟΦΟΣ", "σοφοσ"), ("ДОМ", "дом")):
        assert words(a)[0][1] == words(b)[0][1]
    assert words("ab")[0][1] != words("ba")[0][1]


@given(st.text(alphabet=st.characters(max_codepoint=0x2FF), max_size=60))
def test_words_are_pythons_words_where_no_marks_are(text):
    assert [w for w, _ in words(text)] == re.findall(r"\w+", text)


@given(st.text(max_size=40))
def test_every_word_character_is_in_one_word(text):
    got = "".join(w for w, _ in words(text))
    want = [c for c in text if re.match(r"\w", c) and unicodedata.category(c)[0] != "M"]
    assert [c for c in got if unicodedata.category(c)[0] != "M"] == want


@given(st.text(max_size=40))
def test_text_that_is_not_flagged_is_in_nfc(text):
    offsets, data = string_buffers(pa.array([text]))
    if not needs_nfc(offsets, data, FLAGS)[0]:
        assert unicodedata.is_normalized("NFC", text)


@pytest.mark.parametrize("text", ["cafe\u0301", "\u212b", "\u1100\u1161", "\uf900"])
def test_text_out_of_nfc_is_flagged(text):
    assert needs_nfc(*string_buffers(pa.array([text])), FLAGS)[0]


def test_the_short_cuts_pass_over_nothing_that_nfc_looks_at():
    for c in [*range(0x300), *range(0x4000, 0xA000)]:
        assert not FLAGS[c] & NFC_CHECK, hex(c)


@given(st.text(alphabet="aé中文ab가\u0301\u1161\u3099か\uf900👍", max_size=30))
def test_text_is_flagged_exactly_where_a_character_is(text):
    want = any(FLAGS[ord(c)] & NFC_CHECK for c in text)
    assert needs_nfc(*string_buffers(pa.array([text])), FLAGS)[0] == want
