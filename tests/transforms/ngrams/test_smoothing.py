"""Probabilities are those of the definition, and do not depend on memory, order or cuts."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.ngrams._counts import Counts
from corpusmill.transforms.ngrams._smoothing import estimate
from corpusmill.transforms.ngrams._symbols import text_symbols
from corpusmill.transforms.ngrams._table import LanguageModel, open_model
from tests.transforms.ngrams.reference import Reference


def sentences(number: int, seed: int = 0, words: int = 40) -> list[str]:
    """Sentences of words whose shares fall as in a language, each of which likes some words behind it."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, words + 1)
    lines = []
    for _ in range(number):
        at, line = 0, []
        for _ in range(rng.integers(1, 14)):
            at = (
                (at * 7 + int(rng.choice(words, p=share / share.sum()))) % words
                if rng.random() < 0.7
                else int(rng.integers(words))
            )
            line.append(f"w{at}")
        lines.append(" ".join(line))
    return lines


def trained(
    texts: list[str], folder: Path, order: int = 4, memory: int = 1 << 30, blocks: int = 1
) -> tuple[LanguageModel, bytes]:
    """A model of pieces and the bytes of its file."""
    counts = Counts(order, folder, memory)
    for part in np.array_split(np.array(texts, object), blocks):
        counts.add(*text_symbols(pa.array(part.tolist(), pa.string()), "pieces"))
    path = str(folder / "model")
    estimate(counts, path, "pieces", "", {})
    return open_model(path), Path(path).read_bytes()


@pytest.mark.parametrize("order", [2, 5])
def test_probabilities_are_those_of_the_definition(tmp_path, order):
    texts = sentences(400)
    model, _ = trained(texts, tmp_path, order)
    reference = Reference([t.split() for t in texts], order)
    probes = [*sentences(30, 1), "", "w1 strange w2 w3", "w5 " * 20, "unheard of"]
    got = model.log_probabilities(*text_symbols(pa.array(probes), "pieces"))
    expected = np.array([reference.log_probability(t.split()) for t in probes])
    assert np.abs(got - expected).max() < 0.02  # the steps of 16-bit codes, over 20 words
    assert np.allclose(got, expected, rtol=1e-3)
    words = [w for (w,) in reference.counts[0]]
    for context in ((), ("w1",), ("w3", "w1")):
        shares = [reference.p(context[-order + 1 :], w) for w in [*words, "never-seen"]]
        assert sum(shares) == pytest.approx(1)


def test_memory_blocks_and_order_change_no_byte(tmp_path):
    texts = sentences(3000, 2, 3000)
    results = set()
    for number, (memory, blocks) in enumerate([(1 << 30, 1), (1 << 20, 7), (1 << 20, 3)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        shown = texts if number < 2 else texts[::-1]
        results.add(trained(shown, folder, 3, memory, blocks)[1])
        if memory == 1 << 20:
            assert len(list(folder.glob("range-*.npy"))) > 1
    assert len(results) == 1


def test_nothing_to_learn_from(tmp_path):
    with pytest.raises(ValueError, match="no words"):
        counts = Counts(3, tmp_path, 1 << 30)
        estimate(counts, str(tmp_path / "m"), "pieces", "", {})
