"""Corpora of planted topics for the tests of `corpusmill map` and `corpusmill bias`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import corpusmill
from corpusmill.pipelines.dataset.snapshot import Dataset

COMMON = [f"word{i}" for i in range(80)]


def topic_text(topic: int, seed: int) -> str:
    """Forty words, of which two thirds are of the topic."""
    rng = np.random.default_rng(seed)
    own = [f"topic{chr(97 + topic)}{chr(97 + i)}term" for i in range(20)]
    return " ".join(rng.permutation([*rng.choice(own, 26), *rng.choice(COMMON, 14)])) + "."


def rows(counts: dict[int, int], seed: int = 0, source: str = "t", lang: str = "en") -> list[dict[str, str]]:
    """Documents of topics: topic -> how many."""
    return [
        {"id": f"{source}-{topic}-{i}", "text": topic_text(topic, seed + 7919 * topic + i), "lang": lang}
        for topic, n in counts.items()
        for i in range(n)
    ]


def make(
    folder: Path, documents: list[dict[str, str]], files: int = 1, steps=(), workers: int | None = None, **more
) -> Dataset:
    """A dataset of these documents, read from so many files."""
    (folder / "raw").mkdir(parents=True, exist_ok=True)
    for number in range(files):
        pq.write_table(pa.Table.from_pylist(documents[number::files]), folder / f"raw/{number}.parquet")
    source = {"name": "t", "path": str(folder / "raw/*.parquet"), "columns": {"id": "id"}}
    recipe = {"name": "t", "sources": [source], "steps": list(steps), "output": str(folder / "out"), **more}
    corpusmill.run(recipe, **({"workers": workers} if workers else {}))
    return Dataset(folder / "out")
