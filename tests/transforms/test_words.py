import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from corpusmill.transforms.unicode import next_word, tables
from corpusmill.transforms.words import hash_words, next_hashed, scratch

TABLES = tables()


@njit
def _all(data, start, stop, flags, lower, fast):  # type: ignore[no-untyped-def]
    out = [(0, 0, np.uint64(0))][1:]
    i = start
    while True:
        if fast:
            begin, i, h = next_hashed(data, i, stop, flags, lower)
        else:
            begin, i, h = next_word(data, i, stop, flags, lower)
        if begin == stop:
            return out
        out.append((begin, i, h))


def words(text: str, fast: bool = True, before: str = "", after: str = "") -> list[tuple[int, int, int]]:
    raw = text.encode()
    data = np.frombuffer(before.encode() + raw + after.encode() + b"", np.uint8)
    if not len(data):
        return []
    begin = len(before.encode())
    return [(a - begin, b - begin, int(h)) for a, b, h in _all(data, begin, begin + len(raw), *TABLES, fast)]


ALPHABET = st.text(
    st.one_of(
        st.sampled_from(
            "aAzZ09_@[`{/:~ .-\n中文開門龍\u4dff\u4e00\u9fff\u0301\u3099éÉßкап한글かなสวั🙂\u200d\ufe0f\u20e3"
        ),
        st.characters(codec="utf-8"),
    ),
    max_size=40,
).map(lambda t: unicodedata.normalize("NFC", t))


@given(ALPHABET, ALPHABET, ALPHABET)
def test_the_words_are_those_of_next_word_whatever_stands_around(text: str, before: str, after: str) -> None:
    fast, slow = words(text, True, before, after), words(text, False)
    assert [x[:2] for x in fast] == [x[:2] for x in slow]
    # and two words have the same hash exactly when they have there
    same = {}
    for (_, _, a), (_, _, b) in zip(fast, slow):
        assert same.setdefault(b, a) == a
    assert len(set(same.values())) == len(same)


@pytest.mark.parametrize(
    "word",
    ["a", "Word_9", "seven77", "eight888", "nine_nine", "sixteen_sixteen_", "seventeen_seventeen", "中", "é", "wörd"],
)
def test_a_word_has_one_hash_wherever_it_stands(word: str) -> None:
    around = ["", " ", ".", "\n", " é", "—", "、", "🙂", " " * 9]
    hashes = {words(f"{word}{a}")[0][2] for a in around}
    hashes |= {words(word, after=a)[0][2] for a in around}
    hashes |= {words(word.upper() + a)[0][2] for a in around}
    hashes |= {words(f"。{a}{word}")[-1][2] for a in ["", " ", "。"]}
    assert len(hashes) == 1


def test_hashes_of_many_words_differ() -> None:
    found = words(" ".join(str(i) for i in range(50_000)) + " " + " ".join(chr(c) for c in range(0x4E00, 0x9FFF)))
    assert len({h for _, _, h in found}) == len(found) == 50_000 + 0x51FF


@njit
def _hashes(data, start, stop, flags, lower):  # type: ignore[no-untyped-def]
    folded, edges, found = scratch(np.array([start, stop], np.int32))
    return found[: hash_words(data, start, stop, flags, lower, folded, edges, found)]


def check_hashes(text: str, before: str = "", after: str = "") -> None:
    begin, size = len(before.encode()), len(text.encode())
    data = np.frombuffer((before + text + after).encode() or b"\0", np.uint8)
    found = _hashes(data, begin, begin + size, *TABLES)
    assert found.tolist() == [h for _, _, h in words(text, True, before, after)]


@given(ALPHABET, ALPHABET, ALPHABET, st.integers(0, 200))
def test_all_words_of_a_text_at_once(text: str, before: str, after: str, fill: int) -> None:
    check_hashes(text, before, after)
    check_hashes("Ab " * (fill // 3) + text + "x" * fill + text, before, after)


@pytest.mark.parametrize("size", [*range(20), *range(60, 70), *range(120, 136), 1000])
def test_words_at_the_borders_of_blocks(size: int) -> None:
    for text in ("x" * size, "." * size, "a " * size, "é" * size, "中" * size, "." * size + "Word_9", "wörd7 " * size):
        check_hashes(text)
        check_hashes(text, "before", "after")
