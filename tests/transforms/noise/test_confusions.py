import sys

import pytest

from corpusmill.transforms.errors import MissingDependencyError
from corpusmill.transforms.noise.confusions import Confusions, homophones, keyboard, lookalikes


def alternatives(table: Confusions, character: str) -> list[str]:
    group = table.index[ord(character)]
    if group < 0:
        return []
    members = range(table.first[group], table.first[group + 1])
    return [bytes(table.data[table.offsets[m] : table.offsets[m + 1]]).decode() for m in members]


def test_a_letter_is_mistaken_for_the_keys_that_touch_it() -> None:
    assert alternatives(keyboard("qwerty"), "g") == sorted("tyfhvb")
    assert alternatives(keyboard("qwertz"), "z") == sorted("tugh")
    assert "z" in alternatives(keyboard("azerty"), "a")
    assert alternatives(keyboard("qwerty"), "ф") == sorted("йцыя")


def test_the_case_of_a_letter_is_kept() -> None:
    lower = alternatives(keyboard("qwerty"), "k")
    assert alternatives(keyboard("qwerty"), "K") == [c.upper() for c in lower]


@pytest.mark.parametrize("layout", ["qwerty", "qwertz", "azerty"])
def test_neighbours_are_mutual_and_never_the_letter_itself(layout: str) -> None:
    table = keyboard(layout)
    for letter in "abcdefghijklmnopqrstuvwxyz":
        near = alternatives(table, letter)
        assert near
        assert letter not in near
        assert all(letter in alternatives(table, other) for other in near)


def test_look_alikes_of_letters_and_accents() -> None:
    table = lookalikes()
    assert alternatives(table, "m") == ["rn", "nn"]
    assert alternatives(table, "é") == ["e"]
    assert alternatives(table, "Ł") == []  # its stroke is no combining mark
    assert alternatives(table, "中") == []


def test_characters_beyond_the_table_have_no_alternatives() -> None:
    table = Confusions.of([("ab", ["x", "yz"])])
    assert (alternatives(table, "a"), alternatives(table, "b"), alternatives(table, "c")) == (
        ["x", "yz"],
        ["x", "yz"],
        [],
    )


def test_homophones_sound_alike() -> None:
    pinyin = pytest.importorskip("pypinyin")
    table = homophones()
    for character in "他是中":
        sounds = {
            pinyin.pinyin(c, style=pinyin.Style.TONE3)[0][0] for c in [character, *alternatives(table, character)]
        }
        assert len(sounds) == 1


def test_homophones_name_the_package_that_is_missing(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pypinyin", None)
    homophones.cache_clear()
    with pytest.raises(MissingDependencyError, match="pip install pypinyin"):
        homophones()
    homophones.cache_clear()
