import pyarrow as pa
import pytest
from ftfy import fix_encoding
from ftfy.badness import MOJIBAKE_CATEGORIES, is_bad
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.transforms.clean.mojibake import bad_rows, repair, suspects

NAMED = "вЂâ€œГўВЂВĀā€β€™à²√±≈°‚ÄìôаØÙÃÂ \xa0\u200b"


def _characters() -> str:
    import re

    pattern = re.compile("[" + "".join(MOJIBAKE_CATEGORIES.values()) + "]")
    return "".join(chr(c) for c in range(0x80, 0x10000) if pattern.match(chr(c))) + NAMED + "aZ .,?!0\n"


@settings(max_examples=1500, deadline=None)
@given(st.text(alphabet=_characters(), max_size=8))
def test_no_row_that_ftfy_would_change_is_passed_over(text):
    if is_bad(text):
        assert len(suspects(pa.array([text]), 1)[0])


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.one_of(st.text(alphabet=_characters(), max_size=8), st.sampled_from(["", "x" * 9, " " * 7, "\n"]))))
def test_only_looking_around_suspects_says_what_ftfy_says(parts):
    text = "".join(parts)
    assert bad_rows(pa.array(["x", text, "é"])) == [1] * is_bad(text)


def test_every_bad_pair_is_a_suspect():
    chars = _characters()
    texts = [a + b for a in chars for b in chars]
    bad = [t for t in texts if is_bad(t)]
    assert len(bad) > 10_000
    within = [f"{' ' * 9}{t}{'x' * 9}" for t in bad]
    assert bad_rows(pa.array(within)) == [n for n, t in enumerate(within) if is_bad(t)]
    assert set(suspects(pa.array(bad), 9)[0].tolist()) == set(range(len(bad)))


def test_what_is_bad_behind_many_suspects_that_are_not_is_found():
    good = "» “ " * 400
    assert not is_bad(good)
    assert len(suspects(pa.array([good + " ", "»“ " * 400]), 9999)[0]) > 300
    texts = [good, "»“ " * 400 + "schÃ¶n", "x", good + "schÃ¶n", "schÃ¶n" * 300]
    assert bad_rows(pa.array(texts)) == [n for n, text in enumerate(texts) if is_bad(text)]


TEXTS = ["Übergröße für München – schön", "l'été à la plage… “déjà vu”", "Спасибо большое", "日本語です", "ελληνικά"]


@pytest.mark.parametrize("codec", ["latin-1", "cp1252", "cp1250", "cp1251", "cp1253", "cp1257", "mac-roman", "cp437"])
def test_text_read_as_another_character_set_is_what_ftfy_makes_of_it(codec):
    broken = [text.encode().decode(codec, errors="ignore") for text in TEXTS]
    assert repair(pa.array(broken)).to_pylist() == [fix_encoding(text) for text in broken]


def test_the_most_common_kind_is_undone():
    assert repair(pa.array([t.encode().decode("latin-1") for t in TEXTS])).to_pylist() == TEXTS


def test_good_text_stays_the_same_array():
    array = pa.array(["schön", "coração", "część", "你好", "שלום", "", "plain", None, "│├─ tree", "👍🏽"])
    assert repair(array) is array
    assert repair(pa.array([], pa.string())).to_pylist() == []


def test_only_the_encoding_is_repaired():
    text = "schÃ¶n &amp; “quoted” ﬁne\r\nﾊﾛｰ\x07"
    assert repair(pa.array([text])).to_pylist() == ["schön &amp; “quoted” ﬁne\r\nﾊﾛｰ\x07"]
