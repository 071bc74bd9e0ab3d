import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.transforms.base import Transform
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.filters.c4_code import C4Code
from corpusmill.transforms.filters.c4_paper import C4Paper
from corpusmill.transforms.random import Keyed
from tests.transforms.filters.reference import batch, c4_code, corpus_texts

GOOD = "This is a line of prose. It ends as it should.\nAnd here is one more of the kind.\n"
PIECES = ["one two ", "three four five", ".", "...", "?", "!", '"', "\n", " ", "[1]", "[edit]", "[citation needed]", "[12", "{",
          "JavaScript", "Lorem ipsum ", "privacy Policy", "中文", "\r", "é"]  # fmt: skip


def test_null_stays_null():
    kept = C4Paper(min_sentences=0)(batch([None, GOOD])).column("text").to_pylist()
    assert kept == C4Code(min_sentences=0)(batch([None, GOOD])).column("text").to_pylist() == [None, GOOD[:-1]]


def compare(texts):
    code = C4Code(scripts_without_spaces="as-is")
    verdict = code.judge(batch(texts), Keyed())
    assert verdict.batch is not None
    for i, text in enumerate(texts):
        kept, flags = c4_code(text)
        assert verdict.batch.column("text")[i].as_py() == kept, text
        assert {k: int(verdict.scores[k][i]) for k in flags} == flags, text


@settings(max_examples=800, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=30).map("".join), max_size=3))
def test_code_equals_the_reference(texts):
    compare(texts)


def test_code_equals_the_reference_on_real_documents():
    compare([t.replace("\x85", "") for t in corpus_texts(300, 4)])


def test_long_words():
    text = "a b c d " + "x" * 1001 + ".\n" + GOOD
    assert C4Code()(batch([text])).column("text").to_pylist() == [GOOD.strip()]
    assert "xxx" in C4Paper()(batch([text])).column("text").to_pylist()[0]


@pytest.mark.parametrize("preset", [C4Code, C4Paper])
def test_reasons(preset):
    def reason(text):
        verdict = preset().judge(batch([text]), Keyed())
        return verdict.reasons[verdict.codes[0]] if verdict.codes[0] >= 0 else None

    assert reason(GOOD) is None
    assert reason("") == "min_sentences"
    assert reason("Only one sentence is left here.") == "min_sentences"
    assert reason(GOOD + "Here comes the lorem ipsum text.") == "lorem_ipsum"
    assert reason(GOOD + "A line that has a { in it.") == "curly_bracket"


def test_the_paper_drops_for_a_bracket_in_a_line_that_the_code_has_cut():
    text = GOOD + "function f() {"
    assert C4Code()(batch([text])).num_rows == 1
    assert C4Paper()(batch([text])).num_rows == 0


def test_the_paper_keeps_lines_with_an_ellipsis():
    text = GOOD + "Then the story goes on..."
    assert "goes on" in C4Paper()(batch([text])).column("text")[0].as_py()
    assert "goes on" not in C4Code()(batch([text])).column("text")[0].as_py()


def test_chinese_japanese_thai_and_arabic_lines_end():
    texts = ["这是第一句话。这是第二句话！\n这里还有一句吗？\n菜单", "これは文です。これも文です。\nもう一つの文です。\nメニュー",
             "هذه هي الجملة الأولى من النص. وهذه هي الجملة الثانية؟\nوهذه جملة ثالثة في النص.\nقائمة"]  # fmt: skip
    got = C4Code()(batch(texts)).column("text").to_pylist()
    assert got == [t.rsplit("\n", 1)[0] for t in texts]
    thai = "ภาษาไทยไม่มีจุดจบประโยค\nบรรทัดที่สอง\nบรรทัดที่สาม"
    assert C4Code()(batch([thai])).column("text").to_pylist() == [thai]
    assert C4Code(scripts_without_spaces="as-is")(batch(texts)).num_rows == 0


def test_bad_words_of_scripts_without_spaces_stand_between_others(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("坏话\nท่า\n坏site\n", encoding="utf-8")
    texts = ["他说坏话了。", "ท่าเรือ", "他说坏site.", "他说坏sites.", "说话"]
    for preset in (C4Paper, C4Code):
        fields = {"bad_words": str(path), "min_sentences": None, "min_line_words": 1}
        adapted = preset(**fields).judge(batch([t + GOOD for t in texts]), Keyed())
        assert adapted.scores["bad_words"].tolist() == [1, 1, 1, 0, 0]
        as_is = preset(**fields, scripts_without_spaces="as-is").judge(batch([t + GOOD for t in texts]), Keyed())
        assert as_is.scores["bad_words"].tolist() == [0, 0, 0, 0, 0]
        digests = {preset(**fields, scripts_without_spaces=s).fingerprint() for s in ("adapt", "as-is")}
        assert len(digests) == 2
        assert preset().fingerprint() == Transform.fingerprint(preset())
        assert preset(**fields).fingerprint() != Transform.fingerprint(preset(**fields))


def test_bad_words(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("darn\nwhat the (heck)\n坏话\n")
    texts = [
        GOOD,
        GOOD + "Well darn it all, I say.",
        GOOD + "Darned socks are good socks, too.",
        GOOD + "And 坏话 is one of them.",
    ]
    for preset in (C4Code, C4Paper):
        f = preset(bad_words=str(path))
        assert f.files() == [str(path)]
        assert f(batch(texts)).column("id").to_pylist() == ["0", "2"]
    with pytest.raises(RecipeError, match="cannot be read"):
        C4Code(bad_words=str(tmp_path / "none.txt")).judge(batch([GOOD]), Keyed())


def test_empty_batch_keeps_the_schema():
    empty = batch(["a"]).slice(0, 0)
    verdict = C4Code().judge(empty, Keyed())
    assert verdict.batch.num_rows == 0
    assert verdict.batch.schema == C4Code()(empty).schema == empty.schema
