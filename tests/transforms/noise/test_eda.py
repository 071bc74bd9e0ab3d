from collections import Counter

import pytest

from corpusmill.transforms.noise.eda import Eda
from tests.transforms.noise.corpora import AWKWARD, CHINESE, batch_of
from tests.transforms.noise.wordnet_files import write_wordnet

TEXT = "the dog jumped over one quick car and two small boxes while three others walk by slowly today"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    return str(write_wordnet(tmp_path_factory.mktemp("wordnet")))


def copies(folder: str, **fields) -> list[str]:
    t = Eda(wordnet=folder, senses=1, keep_originals=False, **fields)
    return t(batch_of([TEXT])).column("text").to_pylist()


def test_four_copies_get_the_four_operations(folder: str) -> None:
    words = TEXT.split()
    kinds = Counter()
    for text in copies(folder, delete=0.3):
        out = text.split()
        if Counter(out) == Counter(words):
            kinds["swap"] += sum(a != b for a, b in zip(words, out, strict=True)) == 2
        elif len(out) == len(words):
            kinds["replace"] += sum(a != b for a, b in zip(words, out, strict=True)) == 1
        elif len(out) == len(words) + 1:
            kinds["insert"] += 1
        else:
            kinds["delete"] += len(out) < len(words)
    assert kinds == {"swap": 1, "replace": 1, "insert": 1, "delete": 1}


def test_the_number_of_edits_is_exact(folder: str) -> None:
    n = len(TEXT.split())
    for text in copies(folder, replace=0.25, insert=0.25, swap=0.0, delete=0.0):
        out = text.split()
        changed = sum(a != b for a, b in zip(TEXT.split(), out, strict=False))
        assert text == TEXT or len(out) == n + int(0.25 * n) or changed == int(0.25 * n)


def test_other_languages_are_swapped_or_shortened(folder: str) -> None:
    out = Eda(wordnet=folder, keep_originals=False)(batch_of([CHINESE])).column("text").to_pylist()
    assert len(out) == 4
    assert all(Counter(t) <= Counter(CHINESE) for t in out)


def test_awkward_texts_and_no_rows(folder: str) -> None:
    t = Eda(wordnet=folder, delete=1.0, swap=1.0, insert=1.0, replace=1.0)
    out = t(batch_of(AWKWARD))
    out.validate(full=True)
    assert t(batch_of(AWKWARD).slice(0, 0)).schema == out.schema
    for row in out.to_pylist():
        source = AWKWARD[int((row["parent"] or row["id"])[1:])]
        assert any(map(str.isalnum, source)) == any(map(str.isalnum, row["text"]))
