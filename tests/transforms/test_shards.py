import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.shards import GROUP_ROWS, SUFFIX, ShardWriter, read_shard, shard_schema, text_bytes


def documents(n, size=20):
    rng = np.random.default_rng(n)
    texts = ["".join(map(chr, rng.integers(97, 123, size))) + str(i) for i in range(n)]
    return pa.record_batch({"id": [f"d{i}" for i in range(n)], "text": texts, "source": ["s"] * n, "n": list(range(n))})


def write(path, batches, schema, form="parquet"):
    with ShardWriter(str(path), schema, form) as writer:
        for batch in batches:
            writer.write(batch)
    return writer.written


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_bytes_do_not_depend_on_how_rows_come_in_batches(tmp_path, form):
    batch = documents(2_345)
    a = write(tmp_path / f"a.{form}", [batch], batch.schema, form)
    cuts = [0, 1, 999, 1_000, 1_001, 2_345]
    b = write(
        tmp_path / f"b.{form}",
        [batch.slice(x, y - x) for x, y in zip(cuts, cuts[1:], strict=False)],
        batch.schema,
        form,
    )
    assert a == b
    assert a.rows == 2_345
    assert a.text_bytes == text_bytes(batch)


def test_parquet_has_small_groups_checksums_and_no_text_statistics(tmp_path):
    batch = documents(2_345)
    path = tmp_path / "a.parquet"
    write(path, [batch], batch.schema)
    meta = pq.read_metadata(path)
    assert [meta.row_group(i).num_rows for i in range(meta.num_row_groups)] == [GROUP_ROWS, GROUP_ROWS, 345]
    columns = {meta.row_group(0).column(i).path_in_schema: meta.row_group(0).column(i) for i in range(4)}
    assert columns["text"].statistics is None
    assert columns["id"].statistics.has_min_max
    assert columns["n"].statistics.max == 999


def test_long_documents_close_a_group_early(tmp_path):
    batch = pa.record_batch({"id": ["a", "b", "c"], "text": ["x" * (20 << 20)] * 3, "source": ["s"] * 3})
    write(tmp_path / "a.parquet", [batch], batch.schema)
    meta = pq.read_metadata(tmp_path / "a.parquet")
    assert [meta.row_group(i).num_rows for i in range(meta.num_row_groups)] == [1, 1, 1]


def test_a_failed_write_leaves_nothing(tmp_path):
    batch = documents(10)
    with pytest.raises(RuntimeError), ShardWriter(str(tmp_path / "a.parquet"), batch.schema) as writer:
        writer.write(batch)
        raise RuntimeError
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("form", ["parquet", "arrow", "stage"])
def test_round_trip_and_empty_shards(tmp_path, form):
    path = str(tmp_path / ("x" + SUFFIX[form]))
    batch = documents(1_500)
    write(path, [batch], batch.schema, form)
    assert pa.Table.from_batches(read_shard(path)).combine_chunks() == pa.Table.from_batches([batch])
    assert next(iter(read_shard(path, ["id"]))).schema.names == ["id"]
    write(path, [], batch.schema, form)
    assert sum(b.num_rows for b in read_shard(path)) == 0
    assert shard_schema(path) == batch.schema


def test_damage_and_absence_are_named(tmp_path):
    path = tmp_path / "x.parquet"
    batch = documents(3_000, 100)
    write(path, [batch], batch.schema)
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadFileError, match=r"x\.parquet"):
        list(read_shard(str(path)))
    with pytest.raises(BadFileError, match="missing"):
        list(read_shard(str(tmp_path / "gone.parquet")))


def test_a_column_whose_name_is_damaged_is_told(tmp_path):
    path = tmp_path / "x.parquet"
    batch = documents(10, 10)
    write(path, [batch], batch.schema)
    data = path.read_bytes()
    told = 0
    for at in range(len(data)):
        if data[at : at + 4] == b"text":
            path.write_bytes(data[: at + 3] + b"\xe5" + data[at + 4 :])
            try:
                list(read_shard(str(path)))
            except BadFileError:
                told += 1
    assert told  # and nothing else is raised
