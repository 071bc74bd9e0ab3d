"""A tiny tokenizer and packed shards, made once: enough text to learn from, small enough for milliseconds a step."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.training.settings import TrainSettings, from_mapping

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

LENGTH = 32
WORDS = [
    "the",
    "red",
    "fox",
    "runs",
    "over",
    "a",
    "blue",
    "hill",
    "and",
    "sees",
    "数据",
    "很",
    "好",
    "while",
    "seven",
    "rain",
]


def sentences(count: int, seed: int = 0) -> list[str]:
    """Sentences with a pattern in them: every word says which comes next, most of the time."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        word = int(rng.integers(len(WORDS)))
        words = []
        for _ in range(int(rng.integers(3, 20))):
            words.append(WORDS[word])
            word = (word * 3 + 1) % len(WORDS) if rng.random() < 0.8 else int(rng.integers(len(WORDS)))
        out.append(" ".join(words))
    return out


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE of 300 ids."""
    from corpusmill.transforms.tokens.train_tokenizer import train_tokenizer

    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    texts = sentences(200)
    batch = pa.record_batch({"id": [str(i) for i in range(len(texts))], "text": texts})
    train_tokenizer([batch], str(path), vocab_size=300)
    return path


def write_shards(folder: Path, tokenizer: Path, texts: list[str], source: str = "a", files: int = 2) -> Path:
    """Rows of several documents each, in `files` Arrow files with two record batches each."""
    from corpusmill.training.vocabulary import Vocabulary

    vocabulary = Vocabulary(tokenizer)
    rows: list[tuple[list[int], list[int], list[int]]] = [([], [], [])]
    for ids in vocabulary.encode(texts):
        piece = [*ids.tolist(), vocabulary.end][:LENGTH]
        if len(rows[-1][0]) + len(piece) > LENGTH:
            rows.append(([], [], []))
        row = rows[-1]
        segment = (row[1][-1] if row[1] else 0) + 1
        row[0].extend(piece)
        row[1].extend([segment] * len(piece))
        row[2].extend(range(len(piece)))
    full = [[column + [0] * (LENGTH - len(column)) for column in row] for row in rows]
    folder.mkdir(parents=True, exist_ok=True)
    kind = pa.list_(pa.uint16(), LENGTH)
    names = ("input_ids", "segment_ids", "position_ids")
    for i in range(files):
        part = full[i::files]
        columns = {n: pa.array([row[k] for row in part], kind) for k, n in enumerate(names)}
        table = pa.table({**columns, "source": pa.array([source] * len(part))})
        with pa.OSFile(str(folder / f"part-{i}.arrow"), "wb") as f, pa.ipc.new_file(f, table.schema) as writer:
            writer.write_table(table, max_chunksize=max(1, len(part) // 2))
    (folder / "manifest.json").write_text(json.dumps({"tokenizer_digest": vocabulary.digest, "rows": len(full)}))
    return folder


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> Path:
    """About 100 packed rows."""
    return write_shards(tmp_path_factory.mktemp("shards"), tokenizer, sentences(200))


def tiny(output: Path, train: Path, tokenizer: Path, /, **values: object) -> TrainSettings:
    """tiny(..., model__kind="encoder", optimizer__lr=0.1): settings of a tiny run."""
    tree: dict = {
        "output": str(output),
        "steps": 40,
        "data": {"train": str(train), "tokenizer": str(tokenizer)},
        "model": {"layers": 2, "width": 16, "heads": 2},
        "optimizer": {"lr": 0.01},
        "schedule": {"warmup": 5},
        "batch": {"rows": 4},
        "runtime": {"log_every": 1, "tensorboard": False},
    }
    for key, value in values.items():
        *sections, last = key.replace("__", ".").split(".")
        place = tree
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value
    return from_mapping(tree)


@pytest.fixture
def make(tmp_path: Path, tokenizer: Path, shards: Path):
    """make(kind="encoder", **{"optimizer.lr": 0.1}): settings of a tiny run in the test's own folder."""
    return functools.partial(tiny, tmp_path / "run", shards, tokenizer)
