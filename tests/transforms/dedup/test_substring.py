import random

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.dedup.substring import Substring
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.unicode import next_word, tables
from tests.transforms.dedup.harness import cut, documents, run


def noise(seed: int, n: int) -> str:
    """Text that does not repeat itself."""
    rng = random.Random(seed)
    return " ".join(str(rng.random()) for _ in range(n))


def by_suffixes(texts: list[str], size: int, keep_first: bool) -> list[np.ndarray]:
    """Which bytes of each text are repeated, by sorting all suffixes of the corpus: the reference."""
    suffixes = []
    for i, text in enumerate(texts):
        data = text.encode()
        suffixes += [(data[q:], i, q) for q in range(len(data) - size + 1)]
    suffixes.sort()
    marks = [np.zeros(len(t.encode()), bool) for t in texts]
    at = 0
    while at < len(suffixes):
        end = at
        while end < len(suffixes) and suffixes[end][0][:size] == suffixes[at][0][:size]:
            end += 1
        places = sorted((i, q) for _, i, q in suffixes[at:end])
        for i, q in places[keep_first:] if len(places) > 1 else []:
            marks[i][q : q + size] = True
        at = end
    return marks


def expected(texts: list[str], size: int, keep_first: bool) -> dict[str, str]:
    out = {}
    for number, (text, mark) in enumerate(zip(texts, by_suffixes(texts, size, keep_first))):
        # a character goes if all of its bytes are marked by one range
        left, at = [], 0
        for char in text:
            width = len(char.encode())
            left.append("" if mark[at : at + width].all() else char)
            at += width
        if not mark.any() or "".join(left).strip() or "".join(left) == text:
            out[f"d{number:05d}"] = "".join(left)
    return out


def corpus(rng: random.Random, alphabet: str) -> list[str]:
    pool = ["".join(rng.choice(alphabet) for _ in range(rng.randrange(5, 120))) for _ in range(8)]
    pool += ["-" * 90, "ab" * 60, "xyz" * 30]
    texts = []
    for _ in range(rng.randrange(1, 14)):
        pieces = [
            rng.choice(pool) if rng.random() < 0.7 else "".join(rng.choices(alphabet, k=rng.randrange(30)))
            for _ in range(rng.randrange(8))
        ]
        texts.append("".join(pieces))
    return texts


@pytest.mark.parametrize("alphabet", ["a", "ab", "abcdefghijklmnopqrstuvwxyz ", "汉字文本重复é a", "かなカナ漢字🙂"])
@pytest.mark.parametrize("keep_first", [True, False])
def test_equal_to_a_suffix_array(alphabet: str, keep_first: bool) -> None:
    for seed in range(12):
        rng = random.Random(f"{seed}{alphabet}")
        texts, size = corpus(rng, alphabet), rng.choice([8, 9, 20, 33, 50])
        step = Substring(min_bytes=size, keep_first=keep_first, whole_words=False)
        want = expected(texts, size, keep_first)
        assert run(step, cut(documents(texts))).texts == want
        got = run(step, cut(documents(texts), 3, 4, seed), 5, shuffle=seed)
        assert got.texts == want


def test_a_span_of_exactly_min_bytes_and_one_byte_less() -> None:
    span = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz", k=100))
    texts = [f"1{span}2", f"3{span}4"]
    assert run(Substring(whole_words=False), cut(documents(texts))).texts["d00001"] == "34"
    assert run(Substring(min_bytes=101, whole_words=False), cut(documents(texts))).texts["d00001"] == texts[1]


def test_whole_copies_are_dropped_with_their_survivor() -> None:
    text = noise(2, 20) + " " + "x" * 40
    text += " ".join(str(x) for x in range(200))
    got = run(Substring(), cut(documents([text] * 3), 3))
    assert got.dropped == dict.fromkeys(("d00001", "d00002"), ("repeated-spans", 1.0, "d00000"))


def test_max_fraction_and_no_cut() -> None:
    rng = random.Random(3)
    span, own = (" ".join(str(rng.random()) for _ in range(30)) for _ in range(2))
    texts = [span, span + own[: len(span) // 2], own + own[::-1] + span]
    assert len(run(Substring(max_fraction=0.6), cut(documents(texts))).dropped) == 1
    got = run(Substring(cut=False, max_fraction=0.6), cut(documents(texts)))
    assert list(got.texts.values()) == [texts[0], texts[2]]
    with pytest.raises(RecipeError, match="max_fraction"):
        Substring(cut=False)


def test_hot_spans_are_linear() -> None:
    rng = random.Random(4)
    span = " ".join(str(rng.random()) for _ in range(20))
    sent = []
    for n in (1000, 10_000):
        table = documents([f"{span}{i:07d}" for i in range(n)])
        got = run(Substring(whole_words=False), cut(table, 2), 3)
        assert got.texts["d00001"] == "1"
        sent.append(sum(got.sent))
    assert sent[1] < 11 * sent[0]


def test_survivor_by_longest() -> None:
    span = noise(5, 20)
    got = run(Substring(keep="longest"), cut(documents([span + " a", span + " long"]), 2))
    assert got.texts == {"d00000": "a", "d00001": span + " long"}


def test_slices() -> None:
    span = noise(6, 20)
    batch = documents(["x" * 99, span, span + "y"]).to_batches()[0]
    got = run(Substring(whole_words=False), [[batch.slice(1, 1)], [batch.slice(2, 1)]])
    assert pa.concat_tables(got.shards)["text"].to_pylist() == [span, "y"]


SPAN = " ".join(f"word{i}" for i in range(60))


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [
        ("Alice wrote {} yesterday.", "Bob copied {} this morning.", "Bob copied this morning."),
        ("Ann tried {} twice.", "Bob copied {} today.", "Bob copied today."),  # the span begins within `copied`
        ("Ann tried {} once.", "Bob copied {} only.", "Bob copied only."),  # and ends within `only`
        ("Ten lines:\n{}\n- so.", "She wrote\n{}\nand left.", "She wrote\nand left."),
        ("old({})new", "foo({})bar", "foo(bar"),
        ("读者们看{}再说", "作者们写{}完了", "作者们写完了"),
        ("{}", "before {}", "before "),
    ],
)
def test_cuts_leave_whole_words_and_join_none(first: str, second: str, left: str) -> None:
    got = run(Substring(), cut(documents([first.format(SPAN), second.format(SPAN)])))
    assert got.texts["d00001"] == left


@pytest.mark.parametrize("alphabet", ["abc ", "ab汉 é\u0301-"])
def test_no_word_is_new(alphabet: str) -> None:
    """Words that are left are words of the text as it was."""
    flags, lower = tables()

    def words(text: str) -> list[str]:
        data, found, i = np.frombuffer(text.encode() + b" ", np.uint8), [], 0
        while True:
            with np.errstate(over="ignore"):
                begin, i, _ = next_word.py_func(data, i, len(data) - 1, flags, lower)
            if begin == len(data) - 1:
                return found
            found.append(bytes(data[begin:i]).decode())

    for seed in range(20):
        texts = corpus(random.Random(f"{seed}{alphabet}"), alphabet)
        got = run(Substring(min_bytes=9), cut(documents(texts)))
        for number, text in enumerate(texts):
            assert set(words(got.texts.get(f"d{number:05d}", ""))) <= set(words(text))
