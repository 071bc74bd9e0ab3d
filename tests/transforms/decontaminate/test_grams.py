import re

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.transforms.decontaminate.grams import build_grams, find_matches


def matches(items: list[str], texts: list, n: int = 3, min_words: int = 1) -> set[tuple[int, int, str]]:
    """(row, item, text of the match)."""
    grams = build_grams([(pa.array(items, pa.string()), np.arange(len(items)))], n, min_words)
    array = pa.array(texts, pa.string())
    data = b"".join((t or "").encode() for t in texts)
    out = set()
    for row, entry, a, b, *_ in find_matches(array, grams).tolist():
        for item in grams.items[grams.first[entry] : grams.first[entry + 1]].tolist():
            out.add((row, item, data[a:b].decode()))
    return out


def test_grams_and_whole_items() -> None:
    items = ["one two three four", "short item", "one two three five"]
    found = matches(items, ["Zero ONE two,\nthree four", "a short -- item", None, "", "one two"])
    assert found == {
        (0, 0, "ONE two,\nthree"),
        (0, 2, "ONE two,\nthree"),
        (0, 0, "two,\nthree four"),
        (1, 1, "short -- item"),
    }


def test_chinese_is_compared_by_characters() -> None:
    assert matches(["机器学习"], ["我们学机器学习吗"], n=4) == {(0, 0, "机器学习")}
    assert matches(["机器学习"], ["机器 学习"], n=13) == {(0, 0, "机器 学习")}
    assert matches(["机器学习"], ["机器学会"], n=4) == set()


def test_order_and_length_matter() -> None:
    assert matches(["a b c"], ["c b a", "a b", "a a b c c"]) == {(2, 0, "a b c")}
    assert matches(["b a", "a"], ["x a"], n=5) == {(0, 1, "a")}


def test_too_short_items_are_counted() -> None:
    grams = build_grams([(pa.array(["a b", "a b c d", "", None]), np.arange(4))], 3, 3)
    assert grams.skipped == 3
    assert len(grams.hashes) == 2


def test_slices() -> None:
    grams = build_grams([(pa.array(["x", "a b c"]).slice(1), np.arange(1))], 3, 1)
    array = pa.array(["a b c", "no", "a b c"]).slice(1)
    assert find_matches(array, grams)[:, 0].tolist() == [1]


WORDS = st.lists(st.sampled_from("abcd"), max_size=14)


@given(st.lists(WORDS, min_size=1, max_size=4), st.lists(WORDS, max_size=3), st.integers(1, 5), st.integers(1, 5))
def test_as_a_plain_search(items: list, texts: list, n: int, min_words: int) -> None:
    expected = set()
    for r, words in enumerate(texts):
        for i, item in enumerate(items):
            width = n if len(item) >= n else len(item)
            if len(item) < min(n, min_words) or not item:
                continue
            grams = {tuple(item[k : k + width]) for k in range(len(item) - width + 1)}
            expected |= {
                (r, i, " ".join(words[k : k + width]))
                for k in range(len(words) - width + 1)
                if tuple(words[k : k + width]) in grams
            }
    assert matches([" ".join(i) for i in items], [" ".join(t) for t in texts], n, min_words) == expected


def test_hashes_of_different_grams_differ() -> None:
    words = [f"w{i}" for i in range(30)]
    texts = [" ".join((a, b, c)) for a in words for b in words for c in words]
    grams = build_grams([(pa.array(texts), np.arange(len(texts)))], 3, 1)
    assert len(grams.hashes) == len(texts)
    assert re.match(r"int64", str(grams.items.dtype))
