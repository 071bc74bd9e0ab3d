import math
import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.transforms.errors import BadFileError, RecipeError
from corpusmill.transforms.noise.noise import OPERATIONS, Noise
from corpusmill.transforms.random import Keyed
from tests.transforms.noise.corpora import CHINESE, JAPANESE, batch_of, corpus

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]


def noised(text: str, **fields) -> str:
    return Noise(keep_originals=False, **fields)(batch_of([text])).column("text")[0].as_py()


def test_white_space_and_punctuation_stay() -> None:
    text = " one,\ttwo\n\n three;  four. "
    assert noised(text, mask=1.0) == " _,\t_\n\n _;  _. "
    assert re.sub(r"\w+", "", noised(text, replace=1.0)) == re.sub(r"\w+", "", text)
    assert re.sub(r"\w+", "", noised(text, swap=0.5)) == re.sub(r"\w+", "", text)


def test_full_rates() -> None:
    assert noised("a b c d", delete=1.0) == "d"
    assert noised("a b c d", swap=1.0) == "b c d a"
    assert noised("a b", insert=1.0, words=("x",)) == "a x b x"
    assert noised("a b", replace=1.0, words=("x",)) == "x x"
    assert noised("机器", insert=1.0, words=("学",)) == "机学器学"


def test_deleted_words_take_one_blank_along() -> None:
    words = "one two three four five six seven eight nine ten"
    out = noised(words, delete=0.5)
    assert "  " not in out
    assert not out.startswith(" ")
    assert set(out.split()) < set(words.split())


@pytest.mark.parametrize("text", [CHINESE, JAPANESE])
def test_scripts_without_spaces_get_noise_at_word_level(text: str) -> None:
    out = noised(text * 4, delete=0.2, replace=0.1, swap=0.1, insert=0.1)
    assert out != text * 4
    assert " " not in out
    assert set(out) <= set(text)


def test_new_words_are_of_the_same_script() -> None:
    text = "机器学习 machine learning 人工智能 12 345 artificial 安永 6"
    out = noised(text * 4, replace=1.0)
    kinds = [re.sub(r"[a-z]+", "L", re.sub(r"\d+", "D", re.sub(r"[\u4e00-\u9fff]", "H", t))) for t in (text * 4, out)]
    assert kinds[0] == kinds[1]


def test_rates_over_a_million_words(data) -> None:
    """Measured on the output alone, each rate is within three standard errors of the asked one."""
    batch = corpus(data, 2600).select(["id", "text", "source"])
    rate = 0.05
    outs = {}
    # a word that is no part of the corpus
    fields = {"words": ("synthetica",), "mask_with": "synthetica", "keep_originals": False}
    for name in OPERATIONS:
        outs[name] = Noise(**{name: rate}, **fields).expand(batch, Keyed(3, "noise"))
    counts = Noise(mask=1.0, mask_with="synthetica", keep_originals=False)(batch).column("text").to_pylist()
    per_document = np.array([t.count("synthetica") for t in counts])
    words, documents = int(per_document.sum()), int((per_document > 0).sum())
    assert words > 1_000_000
    se = math.sqrt(rate * (1 - rate) / words)
    for name in ("mask", "replace", "insert"):
        found = sum(t.count("synthetica") for t in outs[name].column("text").to_pylist())
        assert abs(found / words - rate) < 3 * se, name
    masked = Noise(mask=1.0, mask_with="synthetica", keep_originals=False)(
        outs["delete"].drop_columns(["parent", "derived_by"])
    )
    left = sum(t.count("synthetica") for t in masked.column("text").to_pylist())
    assert abs((words - left) / words - rate) < 3 * se
    edits = [int(re.search(r'"edits": (\d+)', d)[1]) for d in outs["swap"].column("derived_by").to_pylist()]
    pairs = words - documents
    assert abs(sum(edits) / pairs - rate) < 3 * math.sqrt(rate * (1 - rate) / pairs)


def edited(ids: list[str], n: int, rng: Keyed, **fields) -> np.ndarray:
    """Which of n words of each document a mask covers: bool [documents, n]."""
    batch = pa.record_batch({"id": ids, "text": [" ".join(["w"] * n)] * len(ids), "source": ["s"] * len(ids)})
    texts = Noise(keep_originals=False, **fields).expand(batch, rng).column("text").to_pylist()
    return np.array([[w == "_" for w in t.split(" ")] for t in texts])


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_documents_epochs_steps_and_copies_are_uncorrelated() -> None:
    n = 50_000
    rng = Keyed(1, "noise")
    a, b = edited(["a", "b"], n, rng, mask=0.3)
    limit = 3 / math.sqrt(n)
    assert abs(correlation(a, b)) < limit
    for other in (rng.at(1), Keyed(2, "noise"), Keyed(1, "noise-2")):
        assert abs(correlation(a, edited(["a"], n, other, mask=0.3)[0])) < limit
    two = edited(["a"], n, rng, mask=0.3, copies=2)
    assert abs(correlation(two[0], two[1])) < limit
    assert abs(correlation(a[:-1], a[1:])) < limit


def test_operations_are_uncorrelated() -> None:
    """Insertions and swaps fall independently of the rest; of mask, delete and replace a word takes at most one, so their
    correlation is that of a multinomial, -sqrt(p q / ((1 - p)(1 - q)))."""
    n = 100_000
    words = [f"w{i}" for i in range(n)]
    batch = batch_of([" ".join(words)])
    mask = Noise(mask=0.2, keep_originals=False)(batch).column("text")[0].as_py().split(" ")
    insert = Noise(insert=0.2, words=("new",), keep_originals=False)(batch).column("text")[0].as_py()
    behind = np.array([x.startswith(" new") for x in re.findall(r"w\d+( new)?", insert)])
    masked = np.array([t == "_" for t in mask])
    assert abs(correlation(masked, behind)) < 3 / math.sqrt(n)
    both = (
        Noise(mask=0.2, replace=0.3, words=("new",), keep_originals=False)(batch).column("text")[0].as_py().split(" ")
    )
    p, q = 0.2, 0.3
    r = correlation(np.array([t == "_" for t in both]), np.array([t == "new" for t in both]))
    assert abs(r + math.sqrt(p * q / ((1 - p) * (1 - q)))) < 4 / math.sqrt(n)
    swapped = Noise(swap=0.2, keep_originals=False)(batch).column("text")[0].as_py().split(" ")
    begins = np.array([int(w[1:]) > i for i, w in enumerate(swapped)])
    assert abs(begins.mean() - 0.2) < 3 * math.sqrt(0.16 / n)
    assert abs(correlation(begins, masked)) < 3 / math.sqrt(n)


def test_drawn_words_follow_the_counts(tmp_path) -> None:
    table = tmp_path / "words.tsv"
    table.write_text("rare\t1\nusual\t9\n学\t3\n习\t1\n")
    out = noised("word " * 20_000 + "字" * 20_000, replace=1.0, words=str(table))
    for one, both, p in (("rare", ("rare", "usual"), 0.1), ("习", ("习", "学"), 0.25)):
        n = sum(out.count(w) for w in both)
        assert n == 20_000
        assert abs(out.count(one) / n - p) < 3 * math.sqrt(p * (1 - p) / n)


def test_own_words_follow_the_document() -> None:
    out = noised("a a a b " * 5_000, replace=1.0)
    assert abs(out.count("b") / 20_000 - 0.25) < 3 * math.sqrt(0.25 * 0.75 / 20_000)


def test_mistakes_are_told(tmp_path) -> None:
    for fields in ({}, {"mask": 0.6, "delete": 0.6}, {"mask": 1.1}, {"insert": 0.1, "words": ()}, {"inserts": 0.1}):
        with pytest.raises(RecipeError):
            Noise(**fields)
    with pytest.raises(BadFileError, match="build_unigrams"):
        Noise(insert=0.1, words=str(tmp_path / "absent.tsv"))(batch_of(["a b"]))


def test_golden() -> None:
    """A change of these bytes is a change of `version`."""
    out = Noise(mask=0.15, delete=0.15, replace=0.15, insert=0.15, swap=0.15, keep_originals=False).expand(
        batch_of([" ".join(WORDS), CHINESE]), Keyed(1, "noise")
    )
    assert out.column("text").to_pylist() == [
        "alpha _ beta delta epsilon eta zeta theta kappa kappa _",
        "_学习_人据工智中能一_个分_。它让计__从_知中学_！_知是？",
    ]


@given(st.text(max_size=60), st.integers(0, 2**32), st.tuples(*[st.floats(0, 0.3)] * 5))
def test_any_text_comes_out_whole(text: str, seed: int, rates: tuple[float, ...]) -> None:
    if any(0xD800 <= ord(c) < 0xE000 for c in text) or not any(rates):
        return
    out = Noise(**dict(zip(OPERATIONS, rates, strict=True)), keep_originals=False).expand(
        batch_of([text]), Keyed(seed, "n")
    )
    out.validate(full=True)
    if re.search(r"\w", text):
        assert re.search(r"\w", out.column("text")[0].as_py())
    assert isinstance(out.column("text")[0].as_py(), str)
