"""The kernels alone, in this process and warm: what a step costs without reading, writing and start-up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpusmill.pipelines.recipe.registry import load
from corpusmill.transforms.base import Filter, Group, Map
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.shards import text_bytes
from tests.benchmarks.measure import Row, in_process

NAMES = ("clean", "gopher-quality", "gopher-repetition", "c4-code", "fineweb", "exact", "minhash", "substring")
TOGETHER = ("gopher-quality", "gopher-repetition", "c4-code", "fineweb")


def batches(source: Path) -> list[pa.RecordBatch]:
    """The corpus in memory, in batches of a shard reader's size."""
    found = []
    for path in sorted(source.glob("*.parquet")):
        found += pq.ParquetFile(path).iter_batches(4096, use_threads=False)
    return found


def task(name: str, held: list[pa.RecordBatch]) -> Callable[[], Any]:
    """A function that does step `name` over the batches: maps, judges, or makes the keys of its first round."""
    step, rng = load(name)(), Keyed(1, name)
    if isinstance(step, Map):
        return lambda: [step.map(b, rng) for b in held]
    if isinstance(step, Filter):
        return lambda: [step.judge(b, rng) for b in held]
    assert isinstance(step, Group)
    return lambda: [step.keys(0, b, np.arange(b.num_rows, dtype=np.uint32), None) for b in held]


def rows(source: Path, rounds: int) -> list[Row]:
    """A row a step; the filters judge every document, also those that another one drops."""
    held = batches(source)
    mb = sum(text_bytes(b) for b in held) / 1e6
    found = []
    for name in NAMES:
        what = f"{name}: keys" if name in ("exact", "minhash", "substring") else name
        found.append(Row(what, mb, in_process(task(name, held), rounds)))
    tasks = [task(name, held) for name in TOGETHER]
    note = "each filter judges every document"
    found.insert(5, Row("all filters", mb, in_process(lambda: [t() for t in tasks], rounds), note))
    return found
