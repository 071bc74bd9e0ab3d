"""MDS files, read by a reader of our own and by mosaicml-streaming where it installs."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.tokens.formats.mosaic import encoding_of, write_index, write_mds
from corpusmill.transforms.tokens.pack import Pack
from tests.transforms.tokens.formats.conftest import matrix


def decode(encoding: str, data: bytes):
    kind, _, rest = encoding.partition(":")
    if kind == "str":
        return data.decode()
    if kind == "json":
        return json.loads(data)
    if kind == "bytes":
        return data
    if kind != "ndarray":
        return np.frombuffer(data, kind)[0]
    dtype, _, shape = rest.partition(":")
    if shape:
        return np.frombuffer(data, dtype).reshape([int(n) for n in shape.split(",")])
    dims, width = data[0] >> 2, 1 << (data[0] & 3)
    sizes = [int.from_bytes(data[1 + k * width : 1 + (k + 1) * width], "little") for k in range(dims)]
    return np.frombuffer(data[1 + dims * width :], dtype).reshape(sizes)


def read(folder: Path) -> list[dict]:
    """All samples of a directory, by its index.json and the description of the format."""
    index = json.loads((folder / "index.json").read_text())
    assert index["version"] == 2
    samples = []
    for shard in index["shards"]:
        data = (folder / shard["raw_data"]["basename"]).read_bytes()
        assert len(data) == shard["raw_data"]["bytes"]
        n = int(np.frombuffer(data[:4], "<u4")[0])
        assert n == shard["samples"]
        offsets = np.frombuffer(data[4 : 8 + 4 * n], "<u4")
        assert offsets[-1] == len(data)
        header = json.loads(data[8 + 4 * n : offsets[0]])
        assert all(header[key] == shard[key] for key in header)
        for begin, end in zip(offsets, offsets[1:]):
            sample, at, sizes = data[begin:end], 0, []
            for fixed in shard["column_sizes"]:
                if fixed is None:
                    sizes.append(int(np.frombuffer(sample[at : at + 4], "<u4")[0]))
                    at += 4
                else:
                    sizes.append(fixed)
            made = {}
            for name, encoding, size in zip(shard["column_names"], shard["column_encodings"], sizes):
                made[name] = decode(encoding, sample[at : at + size])
                at += size
            assert at == len(sample)
            samples.append(made)
    return samples


def write(folder: Path, rows: pa.Table, step: Pack, size_limit: int) -> int:
    half = rows.num_rows // 2
    parts = [rows.slice(0, half), rows.slice(half)]
    shards = [
        write_mds(part.to_batches(), str(folder / "data" / f"part-{i:05}"), step.row_schema(), size_limit)
        for i, part in enumerate(parts)
    ]
    write_index(str(folder), shards)
    return sum(len(s.files) for s in shards)


@pytest.mark.parametrize("size_limit", [1 << 26, 20_000])
def test_every_row_is_read_back(rows: pa.Table, step: Pack, tmp_path: Path, size_limit: int) -> None:
    files = write(tmp_path, rows, step, size_limit)
    assert files == 2 if size_limit > 1 << 20 else files > 4
    assert all(f.stat().st_size <= size_limit for f in tmp_path.glob("data/*.mds"))
    samples = read(tmp_path)
    assert (np.array([s["input_ids"] for s in samples]) == matrix(rows)).all()
    for name in ("id", "documents", "n_tokens"):
        assert [s[name] for s in samples] == rows[name].to_pylist()


def test_mosaic_streaming_reads_it(rows: pa.Table, step: Pack, tmp_path: Path) -> None:
    streaming = pytest.importorskip(
        "streaming", reason="mosaicml-streaming does not install beside datasets 5", exc_type=ImportError
    )
    write(tmp_path, rows, step, 20_000)
    loaded = streaming.StreamingDataset(local=str(tmp_path), shuffle=False, batch_size=1)
    assert len(loaded) == rows.num_rows
    assert (np.array([loaded[i]["input_ids"] for i in range(len(loaded))]) == matrix(rows)).all()


def test_columns_of_other_kinds(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": ["a", "b"],
            "input_ids": pa.array([[1], list(range(300))], pa.list_(pa.int32())),
            "score": pa.array([0.5, -1.0]),
            "raw": pa.array([b"\0", b""]),
            "number": pa.array([1, -2]),
        }
    )
    shard = write_mds(table.to_batches(), str(tmp_path / "x"), table.schema)
    write_index(str(tmp_path), [shard])
    back = read(tmp_path)
    assert [s["input_ids"].tolist() for s in back] == table["input_ids"].to_pylist()
    for name in ("id", "score", "raw", "number"):
        assert [s[name] for s in back] == table[name].to_pylist()


def test_what_mds_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot hold column when of type timestamp"):
        encoding_of("when", pa.timestamp("s"))
    null = pa.table({"id": ["a", None]})
    with pytest.raises(RecipeError, match="column id has 1"):
        write_mds(null.to_batches(), str(tmp_path / "x"), null.schema)
    empty = pa.table({"id": ["a"], "input_ids": pa.array([[]], pa.list_(pa.int32()))})
    with pytest.raises(RecipeError, match="empty in document 'a'"):
        write_mds(empty.to_batches(), str(tmp_path / "x"), empty.schema)
    assert list(tmp_path.iterdir()) == []
