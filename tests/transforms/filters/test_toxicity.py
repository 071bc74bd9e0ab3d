"""Shares of listed words, in any script; lists by language; mistakes in lists."""

import json

import pytest

from corpusmill.steps import Toxicity
from corpusmill.transforms.errors import CorpusmillError, RecipeError
from corpusmill.transforms.random import Keyed
from tests.transforms.filters.reference import batch


@pytest.fixture
def lists(tmp_path):
    (tmp_path / "en.txt").write_text("darn\nwhat the heck\nheck yes\n")
    (tmp_path / "zh.json").write_text(json.dumps(["笨蛋", "傻"]))
    return {"en": str(tmp_path / "en.txt"), "zh": str(tmp_path / "zh.json")}


def test_words_and_phrases_count_whole_and_in_any_case(lists):
    texts = ["Darn it, DARN.", "darned", "What\nthe heck yes!", "what the", "", "heck"]
    verdict = Toxicity(words=lists["en"], max_share=0.45).judge(batch(texts), Keyed())
    assert verdict.scores["share"].tolist() == [2 / 3, 0, 2 / 4, 0, 0, 0]
    assert verdict.kept.tolist() == [False, True, False, True, True, True]
    assert verdict.batch.column("toxicity").to_pylist() == verdict.scores["share"].tolist()


def test_a_phrase_does_not_reach_into_the_next_document(lists):
    step = Toxicity(words=lists["en"])
    assert step(batch(["what the", "heck", "heck", "yes"])).column("toxicity").to_pylist() == [0] * 4
    assert step(batch([])).schema.names[-1] == "toxicity"


def test_lists_by_language(lists):
    rows = batch(["你这个笨蛋。", "darn 笨蛋", "darn", "darn"]).append_column("lang", ["zh", "zh", "en", None])
    shares = Toxicity(words=lists, by="lang")(rows).column("toxicity").to_pylist()
    assert shares == [1 / 5, 1 / 3, 1, 0]


def test_a_changed_list_is_another_step(lists):
    step = Toxicity(words=lists["en"])
    before = step.fingerprint()
    with open(lists["en"], "a") as f:
        f.write("fie\n")
    assert step.fingerprint() != before
    assert step(batch(["fie"])).column("toxicity").to_pylist() == [1]


def test_mistakes_are_named(lists, tmp_path):
    for fields, message in (
        ({"words": lists}, "`by`"),
        ({"words": lists["en"], "by": "lang"}, "`by`"),
        ({"words": lists["en"], "column": "text"}, "known by"),
    ):
        with pytest.raises(RecipeError, match=message):
            Toxicity(**fields)
    for content, message in (
        ("", "is empty"),
        ("word\n!!!\n", "'!!!' has 0 words"),
        ("a b c d e f g h i\n", "has 9 words"),
    ):
        (tmp_path / "bad.txt").write_text(content)
        with pytest.raises(RecipeError, match=message):
            Toxicity(words=str(tmp_path / "bad.txt"))(batch(["a"]))
    with pytest.raises(CorpusmillError, match=r"absent\.txt"):
        Toxicity(words=str(tmp_path / "absent.txt"))(batch(["a"]))
