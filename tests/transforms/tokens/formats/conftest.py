"""Packed rows to write."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.random import Keyed
from corpusmill.transforms.tokens.pack import Pack


@pytest.fixture(scope="session")
def step(tokenizer_path: str) -> Pack:
    return Pack(tokenizer=tokenizer_path, length=96, pad="<|pad|>")


@pytest.fixture(scope="session")
def rows(step: Pack, documents: pa.RecordBatch) -> pa.Table:
    table = pa.Table.from_batches(list(step.pack([documents], Keyed(1, "pack"))))
    assert (table["n_tokens"].to_numpy() < 96).any()  # some padding, so that leaving it out is tested
    return table


def matrix(table: pa.Table, name: str = "input_ids") -> np.ndarray:
    """A column of fixed-size lists as a matrix."""
    return np.array(table[name].to_pylist())


def stream(table: pa.Table) -> list[int]:
    """All tokens without padding, row behind row."""
    return [
        t for row in table.select(["input_ids", "n_tokens"]).to_pylist() for t in row["input_ids"][: row["n_tokens"]]
    ]
