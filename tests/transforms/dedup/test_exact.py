import unicodedata

import pyarrow as pa
import pytest

from corpusmill.transforms.dedup.exact import Exact
from tests.transforms.dedup.harness import cut, documents, run

VARIANTS = {
    "same": ("a b\nc", "a b\nc"),
    "space": ("a b\nc", " a  b c\u3000\r\n"),
    "form": ("für", unicodedata.normalize("NFD", "für")),
    "chinese": ("重复的 文本", "重复的\u3000文本\n"),
    "case": ("The end.", "the end"),
    "joined": ("a b", "ab"),
    "different": ("重复的文本", "重复的文木"),
}
EQUAL = {
    "none": {"same"},
    "space": {"same", "space", "form", "chinese"},
    "words": {"same", "space", "form", "chinese", "case"},
}


@pytest.mark.parametrize("normalize", EQUAL)
def test_what_counts(normalize: str) -> None:
    for name, pair in VARIANTS.items():
        got = run(Exact(normalize=normalize), cut(documents(list(pair))))  # type: ignore[arg-type]
        assert (len(got.kept) == 1) == (name in EQUAL[normalize]), name


@pytest.mark.parametrize("normalize", EQUAL)
def test_long_texts_and_their_hashes_differ_by_one_character(normalize: str) -> None:
    base = "word " * 400
    texts = [base, *(base[:i] + "x" + base[i + 1 :] for i in range(0, 2000, 7))]
    hashes = Exact(normalize=normalize).hashes(pa.array(texts))  # type: ignore[arg-type]
    assert len({tuple(h) for h in hashes.tolist()}) == len(texts)


def test_the_dropped_are_told_of_their_survivor() -> None:
    got = run(Exact(), cut(documents(["x", "y", "x", "x"], ["c", "b", "a", "d"]), 3), 2)
    assert got.kept == ["a", "b"]
    assert got.dropped == {"c": ("exact-duplicate", 1.0, "a"), "d": ("exact-duplicate", 1.0, "a")}


def test_texts_without_words_are_equal_by_their_text() -> None:
    got = run(Exact(normalize="words"), cut(documents(["!!", "!!", "??", "", " ", "a"])))
    assert got.kept == ["d00000", "d00002", "d00003", "d00005"]


def test_unicode_white_space_is_folded() -> None:
    spaces = [chr(c) for c in range(0x3001) if chr(c).isspace()]
    assert len(spaces) > 20
    texts = [f"a{s}b" for s in spaces]
    assert len(run(Exact(), cut(documents(texts))).kept) == 1


def test_golden() -> None:
    got = Exact().hashes(pa.array(["to be  or not\n", ""])).tolist()
    assert got == Exact(normalize="none").hashes(pa.array(["to be or not", ""])).tolist()
    assert got == [[GOLDEN[0], GOLDEN[1]], [0, 0]]


GOLDEN = [898535593415288082, 2600789036029435822]
