"""Small batches that every noise test uses."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

AWKWARD = [
    "",
    "  \n\t",
    "...!?",
    "word",
    "机",
    "🙂",
    "\u0301",
    "e\u0301",
    "नमस्ते दुनिया",
    "สวัสดีชาวโลก",
    "안녕하세요 세계",
    "a\x00b",
]
CHINESE = "机器学习是人工智能的一个分支。它让计算机从数据中学习！你知道吗？"
JAPANESE = "機械学習は人工知能の一分野です。データから学びます。「本当？」と聞いた。"
ENGLISH = "The quick brown fox jumps over the lazy dog. It begins to run fast!  They say:\n\n- one\n- two\n"


def batch_of(texts: list[str | None], **columns: list) -> pa.RecordBatch:
    ids = [f"d{i}" for i in range(len(texts))]
    return pa.record_batch(
        {
            "id": ids,
            "text": pa.array(texts, pa.string()),
            "source": pa.array(["s"] * len(texts), pa.string()),
            **columns,
        }
    )


def corpus(data: Path, rows: int, shard: int = 0) -> pa.RecordBatch:
    """The first rows of a shard of the real corpus."""
    file = pq.ParquetFile(data / f"corpus/part-0000{shard}.parquet")
    return next(file.iter_batches(rows, columns=["id", "text", "source", "lang"]))
