import math
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.transforms.errors import MissingDependencyError, RecipeError
from corpusmill.transforms.noise.characters import OPERATIONS, Characters
from corpusmill.transforms.noise.confusions import keyboard
from corpusmill.transforms.noise.copies import Copies
from corpusmill.transforms.random import Keyed
from tests.transforms.noise.corpora import CHINESE, ENGLISH, batch_of, corpus


def noised(text: str, **fields) -> str:
    return Characters(keep_originals=False, **fields)(batch_of([text])).column("text")[0].as_py()


def counted(transform: Characters, batch) -> tuple[list[str], list[int]]:
    versions = Copies.versions(transform, batch, Keyed(1, "characters"))
    texts, counts = transform.counted(batch, versions)
    return texts.to_pylist(), counts.sum(axis=0).tolist()


def test_keyboard_neighbours_touch() -> None:
    table = keyboard("qwerty")
    members = [bytes(table.data[a:b]).decode() for a, b in zip(table.offsets[:-1], table.offsets[1:], strict=True)]
    group = table.index[ord("g")]
    assert members[table.first[group] : table.first[group + 1]] == ["b", "f", "h", "t", "v", "y"]
    out = noised("gG", keyboard=1.0)
    assert out[0] in "bfhtvy"
    assert out[1] in "BFHTVY"
    assert noised("ф", keyboard=1.0) in "йцыя"
    assert noised("m", keyboard=1.0, layout="azerty") != noised("m", keyboard=1.0)


def test_swap_moves_a_letter_on() -> None:
    assert noised("abcd", swap=1.0) == "bcda"
    assert noised("ab cd", swap=1.0) == "ba dc"
    assert noised("aab", swap=1.0) == "aba"  # equal letters are no pair
    assert noised("机器", swap=1.0) == "器机"


def test_delete_spares_first_letters() -> None:
    assert noised("one two, 机器 x", delete=1.0) == "o t, 机 x"


def test_marks_stay_with_their_letter() -> None:
    text = "e\u0301a\u0301 नमस्ते"
    for out in (noised(text, swap=1.0), noised(text, delete=1.0)):
        assert unicodedata.normalize("NFC", out)[0] == "é"


def test_rates_over_a_million_characters(data) -> None:
    batch = corpus(data, 700).select(["id", "text", "source"])
    text = "\n".join(batch.column("text").to_pylist())
    rate = 0.05
    letters = len(re.findall(r"[A-Za-zа-яА-Я]", text))
    lookalikes = counted(Characters(ocr=1.0, keep_originals=False), batch)[1][1]
    letter = r"[^\W\d_]"
    pairs = sum(m[1] != m[2] for m in re.finditer(rf"(?=({letter})({letter}))", text))
    inner = len(re.findall(rf"(?<={letter}){letter}", text))
    for name, n in (("keyboard", letters), ("ocr", lookalikes), ("swap", pairs), ("delete", inner)):
        found = counted(Characters(**{name: rate}, keep_originals=False), batch)[1][OPERATIONS.index(name)]
        assert n > 800_000, name
        assert abs(found / n - rate) < 3 * math.sqrt(rate * (1 - rate) / n), name


def test_edits_stand_in_the_text() -> None:
    text = "abcdefghij " * 2000
    texts, counts = counted(Characters(keyboard=0.1, keep_originals=False), batch_of([text]))
    assert sum(a != b for a, b in zip(text, texts[0], strict=True)) == counts[0] > 1500


def test_homophones() -> None:
    pytest.importorskip("pypinyin", reason="pypinyin is not installed")
    out = noised(CHINESE * 5, same_sound=0.5)
    assert len(out) == len(CHINESE * 5)
    assert out != CHINESE * 5
    assert noised(ENGLISH, same_sound=1.0) == ENGLISH


def test_homophones_without_their_package() -> None:
    try:
        import pypinyin  # noqa: F401
    except ImportError:
        with pytest.raises(MissingDependencyError, match="pip install pypinyin"):
            noised(CHINESE, same_sound=0.5)
    else:
        pytest.skip("pypinyin is installed")


@pytest.mark.parametrize("fields", [{}, {"swap": 0.6, "ocr": 0.6}, {"swap": 2}, {"layout": "dvorak", "swap": 0.1}])
def test_mistakes_are_told(fields: dict) -> None:
    with pytest.raises(RecipeError):
        Characters(**fields)


@given(st.text(max_size=40), st.integers(0, 2**32))
def test_any_text_comes_out_whole(text: str, seed: int) -> None:
    t = Characters(keyboard=0.2, ocr=0.2, swap=0.3, delete=0.2, keep_originals=False)
    out = t.expand(batch_of([text]), Keyed(seed, "c"))
    out.validate(full=True)
    assert bool(re.search(r"\S", text)) == bool(re.search(r"\S", out.column("text")[0].as_py()))


def test_golden() -> None:
    t = Characters(keyboard=0.05, ocr=0.05, swap=0.1, delete=0.05, keep_originals=False)
    assert t.expand(batch_of(["The quick brown fox jumps", CHINESE]), Keyed(1, "c")).column("text").to_pylist() == [
        "The quikc bronw fo jukps",
        "机器学习是工人智能的一个分支。它让计算机从数据中习！你知道吗？",
    ]
