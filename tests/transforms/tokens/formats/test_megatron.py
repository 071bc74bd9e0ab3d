"""Megatron's .bin and .idx, read by a reader of our own and by megatron-core where it is installed."""

import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.tokens.formats.megatron import write_megatron
from corpusmill.transforms.tokens.pack import Pack
from tests.transforms.tokens.formats.conftest import stream


def read(stem: str) -> tuple[list[np.ndarray], np.ndarray]:
    """(sequences, document bounds), by the description of the format."""
    index, data = Path(stem + ".idx").read_bytes(), Path(stem + ".bin").read_bytes()
    assert index[:9] == b"MMIDIDX\0\0"
    version, code, sequences, bounds = struct.unpack_from("<QBQQ", index, 9)
    assert version == 1
    dtype = {4: np.dtype("<i4"), 8: np.dtype("<u2")}[code]
    at = 9 + 25
    lengths = np.frombuffer(index, "<i4", sequences, at)
    pointers = np.frombuffer(index, "<i8", sequences, at + 4 * sequences)
    documents = np.frombuffer(index, "<i8", bounds, at + 12 * sequences)
    assert len(index) == at + 12 * sequences + 8 * bounds
    return [np.frombuffer(data, dtype, n, p) for n, p in zip(lengths, pointers)], documents


def test_every_token_is_read_back(rows: pa.Table, step: Pack, tmp_path: Path) -> None:
    stem = str(tmp_path / "part-00000")
    write_megatron(rows.to_batches(40), stem, step.row_schema())
    sequences, documents = read(stem)
    assert np.concatenate(sequences).tolist() == stream(rows)
    assert [len(s) for s in sequences] == rows["n_tokens"].to_pylist()
    assert documents.tolist() == list(range(rows.num_rows + 1))
    assert Path(stem + ".bin").stat().st_size == 2 * len(stream(rows))


def test_wide_ids_and_documents_of_any_length(tmp_path: Path) -> None:
    table = pa.table({"input_ids": pa.array([[70_000, 1], [], [2]], pa.list_(pa.int32()))})
    write_megatron(table.to_batches(), str(tmp_path / "x"), table.schema)
    sequences, _ = read(str(tmp_path / "x"))
    assert [s.tolist() for s in sequences] == [[70_000, 1], [], [2]]


def test_megatron_core_reads_it(rows: pa.Table, step: Pack, tmp_path: Path) -> None:
    module = pytest.importorskip(
        "megatron.core.datasets.indexed_dataset", reason="megatron-core is not installed", exc_type=ImportError
    )
    stem = str(tmp_path / "part-00000")
    write_megatron(rows.to_batches(), stem, step.row_schema())
    dataset = module.IndexedDataset(stem)
    assert np.concatenate([dataset[i] for i in range(len(dataset))]).tolist() == stream(rows)
