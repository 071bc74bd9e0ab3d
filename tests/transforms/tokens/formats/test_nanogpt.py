"""nanoGPT's .bin, read as nanoGPT does: a memory map of uint16."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.tokens.formats.nanogpt import write_nanogpt
from corpusmill.transforms.tokens.pack import Pack
from tests.transforms.tokens.formats.conftest import stream


def test_every_token_is_read_back(rows: pa.Table, step: Pack, tmp_path: Path) -> None:
    shard = write_nanogpt(rows.to_batches(33), str(tmp_path / "train"), step.row_schema())
    assert np.memmap(tmp_path / "train.bin", np.uint16, "r").tolist() == stream(rows)
    assert shard.files[0].size == 2 * shard.tokens


def test_wide_ids_are_refused(tmp_path: Path) -> None:
    schema = pa.schema({"input_ids": pa.list_(pa.int32())})
    with pytest.raises(RecipeError, match=r"ids below 65,536, got list<item: int32>; choose megatron"):
        write_nanogpt([], str(tmp_path / "x"), schema)
