"""The sample and the tokenizer depend on the set of documents alone."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.tokens.tokenizer import load_tokenizer
from corpusmill.transforms.tokens.train_tokenizer import sample_documents, train_tokenizer
from tests.transforms.tokens.conftest import make_documents


def batches(order: int, size: int) -> list[pa.RecordBatch]:
    table = pa.Table.from_batches([make_documents(300, seed=3)])
    return table.take(np.random.default_rng(order).permutation(300)).to_batches(size)


def test_the_sample_does_not_depend_on_order_or_batches() -> None:
    whole = sample_documents(batches(0, 1000), 40_000, Keyed(1)).to_pylist()
    assert 40_000 <= sum(len(t.encode()) for t in whole) < 50_000
    for order, size in [(1, 7), (2, 50), (3, 299)]:
        assert sample_documents(batches(order, size), 40_000, Keyed(1)).to_pylist() == whole
    assert sample_documents(batches(0, 1000), 40_000, Keyed(2)).to_pylist() != whole
    assert len(sample_documents(batches(0, 10), 1 << 40, Keyed(1))) == 300


def test_the_same_sample_gives_the_same_file(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{i}" / "tokenizer.json") for i in range(2)]
    digests = [train_tokenizer(batches(i, 11 + i), p, vocab_size=400, rng=Keyed(1)) for i, p in enumerate(paths)]
    assert digests[0] == digests[1] == hashlib.sha256(Path(paths[0]).read_bytes()).hexdigest()
    assert not list(tmp_path.glob("*/*.tmp*"))


def test_every_text_survives_the_round_trip(tokenizer_path: str) -> None:
    tokenizer = load_tokenizer(tokenizer_path)
    for text in ["数据集由分片组成。", "データセット", "데이터", "ไม่เคยเห็น", "\x00😀\u2028", " leading"]:
        assert tokenizer.decode(tokenizer.encode(pa.array([text]))[1]) == text


@pytest.mark.parametrize("texts", [[], ["", ""], [None]])
def test_nothing_to_train_on(tmp_path: Path, texts: list[str | None]) -> None:
    batch = pa.record_batch(
        {"id": pa.array([str(i) for i in range(len(texts))], pa.string()), "text": pa.array(texts, pa.string())}
    )
    with pytest.raises(RecipeError, match="no text to train"):
        train_tokenizer([batch], str(tmp_path / "t.json"), vocab_size=400)
    with pytest.raises(RecipeError, match="vocab_size: 100 is below 257"):
        train_tokenizer([batch], str(tmp_path / "t.json"), vocab_size=100)
