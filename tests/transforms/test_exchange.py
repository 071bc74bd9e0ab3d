import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from transforms.exchange import FINE, read_slices, read_told, slice_of_key, write_keys, write_told

SCHEMA = pa.schema([("key", pa.uint64()), ("row", pa.uint32()), ("id", pa.string())])


def batch(keys):
    return pa.record_batch(
        [pa.array(keys, pa.uint64()), np.arange(len(keys), dtype=np.uint32), [f"d{k}" for k in keys]], SCHEMA
    )


@given(st.lists(st.lists(st.integers(0, 2**64 - 1), max_size=30), min_size=1, max_size=4), st.integers(1, 7))
def test_every_row_arrives_once_and_equal_keys_meet(tmp_path_factory, senders, units):
    folder = tmp_path_factory.mktemp("x")
    paths = [str(folder / f"{i}.arrow") for i in range(len(senders))]
    for path, keys in zip(paths, senders, strict=True):
        write_keys(path, [batch(keys)], SCHEMA)
    bounds = [FINE * i // units for i in range(units + 1)]
    got, where = [], {}
    for unit in range(units):
        table = read_slices(paths, bounds[unit], bounds[unit + 1], shards=range(len(paths)))
        assert table.schema.names == ["key", "row", "id", "shard"]
        for row in table.to_pylist():
            got.append((row["shard"], row["row"], row["key"]))
            assert where.setdefault(row["key"], unit) == unit
            assert row["id"] == f"d{row['key']}"
    assert sorted(got) == [(s, r, k) for s, keys in enumerate(senders) for r, k in enumerate(keys)]


def test_the_files_bytes_do_not_depend_on_batches(tmp_path):
    keys = np.random.default_rng(0).integers(0, 2**63, 1000).tolist()
    a, b = tmp_path / "a", tmp_path / "b"
    whole = batch(keys)
    write_keys(str(a), [whole], SCHEMA)
    write_keys(str(b), [whole.slice(0, 10), whole.slice(10)], SCHEMA)
    assert a.read_bytes() == b.read_bytes()
    assert len(set(slice_of_key(np.array(keys, np.uint64)).tolist())) > 200


def test_told_rows_reach_their_shard_sorted_by_row(tmp_path):
    one = pa.table(
        {"shard": pa.array([2, 0, 2], pa.uint32()), "row": pa.array([5, 1, 3], pa.uint32()), "x": ["a", "b", "c"]}
    )
    two = pa.table({"shard": pa.array([2], pa.uint32()), "row": pa.array([4], pa.uint32()), "x": ["d"]})
    paths = [str(tmp_path / "1"), str(tmp_path / "2")]
    write_told(paths[0], one, 3)
    write_told(paths[1], two, 3)
    assert read_told(paths, 2).to_pydict() == {"shard": [2, 2, 2], "row": [3, 4, 5], "x": ["c", "d", "a"]}
    assert read_told(paths, 1).num_rows == 0
    assert read_told(paths, 1).schema.names == ["shard", "row", "x"]
