import math

import pytest

from corpusmill.transforms.noise.synonyms import Synonyms
from corpusmill.transforms.random import Keyed
from tests.transforms.noise.corpora import AWKWARD, CHINESE, batch_of
from tests.transforms.noise.wordnet_files import write_wordnet


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    return str(write_wordnet(tmp_path_factory.mktemp("wordnet")))


def test_case_and_white_space_stay(folder: str) -> None:
    out = Synonyms(rate=1.0, wordnet=folder, senses=1, keep_originals=False)(
        batch_of(["Dogs  JUMP, the dog walked.\nIn a Box", CHINESE])
    )
    assert out.column("text").to_pylist() == ["Hounds  LEAP, the hound strolled.\nIn a Crate", CHINESE]


def test_rate_is_of_words_with_synonyms(folder: str) -> None:
    text = "the dog " * 20_000
    out = Synonyms(rate=0.3, wordnet=folder, keep_originals=False, senses=1)(batch_of([text])).column("text")[0].as_py()
    assert abs(out.count("hound") / 20_000 - 0.3) < 3 * math.sqrt(0.21 / 20_000)


def test_languages(folder: str) -> None:
    batch = batch_of(["a dog"] * 3, lang=["en", "de", None])
    t = Synonyms(rate=1.0, wordnet=folder, keep_originals=False, senses=1)
    assert t(batch).column("text").to_pylist() == ["a hound", "a dog", "a hound"]


def test_awkward_texts_and_no_rows(folder: str) -> None:
    t = Synonyms(rate=1.0, wordnet=folder)
    batch = batch_of(AWKWARD)
    assert t(batch).num_rows == len(AWKWARD)
    assert t(batch.slice(0, 0)).schema == t(batch).schema


def test_keyed(folder: str) -> None:
    t = Synonyms(rate=0.5, wordnet=folder, keep_originals=False)
    batch = batch_of(["quick car " * 50])
    assert t.expand(batch, Keyed(1)).equals(t.expand(batch, Keyed(1)))
    assert not t.expand(batch, Keyed(1)).equals(t.expand(batch, Keyed(2)))


def test_files_are_part_of_the_fingerprint(folder: str) -> None:
    assert f"{folder}/data.noun" in Synonyms(wordnet=folder).files()
    assert Synonyms().files() == []
