"""On real text: every objective's loss falls, through our own tokenise and pack."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.training.loop import read_metrics, train
from corpusmill.training.settings import from_mapping
from corpusmill.transforms.random import Keyed

DATA = Path(__file__).parents[2] / "../shared/data"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data (real text) beside the project"),
]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """800 documents, Chinese and others among them, in rows of 64 tokens of a vocabulary of 512."""
    import pyarrow.parquet as pq

    from corpusmill.transforms.tokens.formats import write_shard
    from corpusmill.transforms.tokens.pack import Pack, PackReport
    from corpusmill.transforms.tokens.train_tokenizer import train_tokenizer

    root = tmp_path_factory.mktemp("packed")
    table = pq.ParquetFile(DATA / "corpus/part-00000.parquet").read_row_group(0).slice(0, 800)
    texts = pa.array([t[:600] for t in table["text"].to_pylist()])
    batch = pa.record_batch(
        {"id": table["id"].combine_chunks(), "text": texts, "source": table["source"].combine_chunks()}
    )
    digest = train_tokenizer([batch], str(root / "tokenizer.json"), vocab_size=512)
    for name, part in (("train", batch.slice(0, 700)), ("held", batch.slice(700))):
        pack = Pack(tokenizer=str(root / "tokenizer.json"), length=64, separate="source")
        (root / name).mkdir()
        write_shard(
            "arrow", pack.pack([part], Keyed(1, "pack"), PackReport()), str(root / name / "part-0"), pack.row_schema()
        )
        (root / name / "manifest.json").write_text(
            json.dumps({"steps": [{"tokenizer": "tokenizer.json"}, {"tokenizer": digest}]})
        )
    return root


@pytest.mark.parametrize(
    ("kind", "objective", "fall"),
    [
        ("decoder", "causal", 1.0),
        ("encoder", "masked", 0.5),
        ("encoder-decoder", "span", 0.8),
        ("encoder-decoder", "prefix", 0.8),
    ],
)
def test_loss_falls(packed: Path, tmp_path: Path, kind: str, objective: str, fall: float) -> None:
    values = {
        "output": str(tmp_path / "run"),
        "steps": 60,
        "data": {
            "train": str(packed / "train"),
            "validation": str(packed / "held"),
            "tokenizer": str(packed / "tokenizer.json"),
        },
        "model": {"kind": kind, "layers": 1, "width": 48, "heads": 2},
        "objective": {"name": objective},
        "optimizer": {"lr": 0.01},
        "schedule": {"name": "wsd", "warmup": 10},
        "batch": {"rows": 8},
        "evaluation": {"every": 60},
        "runtime": {"log_every": 1, "tensorboard": False},
    }
    result = train(from_mapping(values))
    losses = [line["loss"] for line in read_metrics(values["output"]) if "loss" in line]
    assert np.mean(losses[-5:]) < losses[0] - fall
    assert 0 < result["validation"]["bits_per_byte"] < 12
    assert result["validation"]["domains"]
