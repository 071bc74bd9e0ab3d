"""A small multilingual byte-level BPE, trained once, and documents in its languages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.random import Keyed
from corpusmill.transforms.tokens.train_tokenizer import train_tokenizer

SENTENCES = [
    "The shard is written beside its name and renamed when it is whole. ",
    "def pack(rows, length=1024):\n    return [row for row in rows if row]\n\n",
    "数据集由分片和快照组成，每个快照都是不可变的。",
    "データセットは断片とスナップショットからなります。",
    "데이터 세트는 조각과 스냅샷으로 구성됩니다. ",
    "Набор данных состоит из фрагментов и снимков. ",
    "تتكون مجموعة البيانات من أجزاء ولقطات. ",
    "Das Größte: Bücher für 3,50 € – n'est-ce pas ? ",
    "😀👩‍👩‍👧🏽 \x00\x07\u2028 ",
]


def make_documents(n: int, seed: int = 0, most: int = 40) -> pa.RecordBatch:
    """n documents of 0 to `most` sentences."""
    rng = np.random.default_rng(seed)
    texts = ["".join(SENTENCES[k] for k in rng.integers(0, len(SENTENCES), rng.integers(0, most))) for _ in range(n)]
    return pa.record_batch({"id": [f"doc-{i}" for i in range(n)], "text": texts, "source": ["s"] * n})


@pytest.fixture(scope="session")
def documents() -> pa.RecordBatch:
    return make_documents(200)


@pytest.fixture(scope="session")
def tokenizer_path(tmp_path_factory: pytest.TempPathFactory, documents: pa.RecordBatch) -> str:
    pytest.importorskip("tokenizers", reason="HF tokenizers is not installed (extra `train`)")
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    train_tokenizer([documents], str(path), vocab_size=500, special_tokens=("<|endoftext|>", "<|pad|>"), rng=Keyed(1))
    return str(path)


@pytest.fixture(scope="session")
def corpus() -> Path:
    folder = Path(__file__).resolve().parents[3] / "../shared/data/corpus"
    if not folder.is_dir():
        pytest.skip(f"the documentation corpus is not at {folder}")
    return folder
