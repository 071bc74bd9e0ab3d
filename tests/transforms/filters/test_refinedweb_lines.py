import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.transforms.filters.refinedweb_lines import RefinedwebLines
from corpusmill.transforms.random import Keyed
from tests.transforms.filters.reference import batch, corpus_texts

PROSE = "The quick brown fox jumps over the lazy dog and then runs away into the dark green forest.\n" * 12


def corrected(line: str, **fields) -> str:
    """What becomes of one line among many good ones."""
    verdict = RefinedwebLines(**fields).judge(batch([line + "\n" + PROSE]), Keyed())
    assert verdict.kept[0]
    out = verdict.batch.column("text")[0].as_py() if verdict.batch is not None else line + "\n" + PROSE
    assert out.endswith(PROSE)
    return out[: -len(PROSE)].rstrip("\n")


@pytest.mark.parametrize(
    "line",
    ["HOME ABOUT US", "1,234", "12 34 (5)", "3 likes", "1.2K shares", "· 12 comments ·", "Menu", "菜单", "25 评论", "3赞",
     "Sign in", "Read more...", "add to cart", "sign-in | read more"],
)  # fmt: skip
def test_lines_that_are_cut(line):
    assert corrected(line) == ""


@pytest.mark.parametrize(
    "line",
    ["Home page", "3 likes from me", "I likes", "version 1.2", "Signing in to win", "loginfo shows", "thread more",
     "这是一句话", "日本語の文です", "", "   ", "NASA said so", "spread more"],
)  # fmt: skip
def test_lines_that_stay(line):
    assert corrected(line) == line


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("Sign in to see the news", "to see the news"),
        ("The news of the day Read more...", "The news of the day"),
        ("You have 2 items in cart now", "You have 2  now"),
        ("新闻很多 read more", "新闻很多"),
    ],
)
def test_short_lines_are_edited(line, left):
    assert corrected(line) == left


def test_long_lines_are_not_edited():
    line = "sign in " + "and so on " * 5 + "read more"
    assert corrected(line) == line


def test_documents_that_lose_too_much_are_dropped():
    text = "Menu\nHome\nLogin\nfour good words here\n" * 3
    verdict = RefinedwebLines().judge(batch([text]), Keyed())
    assert verdict.reasons[verdict.codes[0]] == "max_flagged_words"
    assert verdict.values[0] == pytest.approx(9 / 21)
    kept = RefinedwebLines(max_flagged_words=None)(batch([text])).column("text").to_pylist()
    assert kept == ["four good words here\n" * 3]


def test_chinese_lines_and_switches():
    assert corrected("菜单", scripts_without_spaces="as-is") == ""
    assert corrected("Menu", cut_single_words=False) == "Menu"
    assert corrected("12", cut_numbers=False, cut_single_words=False) == "12"
    assert corrected("登录 查看全部内容", start_phrases=("登录",)) == "查看全部内容"


@settings(max_examples=400, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["Sign in", "read more", " ", "\n", "3 likes", "AB", "cd ", "中文", "12", "item in cart",
                                          "…", "é", "\r", "add to cart"]), max_size=12).map("".join), max_size=3))  # fmt: skip
def test_no_text_grows_and_neighbours_do_not_matter(texts):
    edit = RefinedwebLines(max_flagged_words=None)
    got = edit(batch(texts)).column("text").to_pylist()
    assert got == [edit(batch([t])).column("text").to_pylist()[0] for t in texts]
    assert all(len(a) <= len(b) for a, b in zip(got, texts))


def test_real_documents_and_empty_batch():
    texts = corpus_texts(200, 5)
    got = RefinedwebLines(max_flagged_words=None)(batch(texts)).column("text")
    got.validate(full=True)
    for before, after in zip(texts, got.to_pylist()):
        whole = set(before.split("\n"))
        assert sum(line not in whole for line in after.split("\n")) <= 3  # all but edited lines are lines of the text
    assert RefinedwebLines()(batch([])).num_rows == 0
    assert RefinedwebLines()(pa.record_batch({"id": ["a"], "text": pa.array([None], pa.string())})).num_rows == 1
    beside = pa.record_batch({"id": ["a", "b"], "text": pa.array([None, "3 likes\n" + PROSE])})
    assert RefinedwebLines()(beside).column("text").to_pylist() == [None, PROSE]
