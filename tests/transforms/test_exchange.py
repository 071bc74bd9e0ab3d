import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.transforms.batches import BatchFile
from corpusmill.transforms.exchange import (
    FINE,
    Parts,
    named,
    read_all_decisions,
    read_decisions,
    read_slices,
    shard_names,
    slice_of_key,
    write_decisions,
    write_keys,
)

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
    write_decisions(paths[0], one, 3)
    write_decisions(paths[1], two, 3)
    assert read_decisions(paths, 2).to_pydict() == {"shard": [2, 2, 2], "row": [3, 4, 5], "x": ["c", "d", "a"]}
    assert read_decisions(paths, 1).num_rows == 0
    assert read_decisions(paths, 1).schema.names == ["shard", "row", "x"]


def test_parts_come_one_after_the_other_and_again(tmp_path):
    paths = [str(tmp_path / f"{i}.arrow") for i in range(3)]
    for number, path in enumerate(paths):
        count = 5 * number  # the first file is empty
        told = pa.table({"shard": np.zeros(count, np.uint32), "row": np.arange(count, dtype=np.uint32)})
        write_decisions(path, told, 2)
    parts = Parts(paths, max_rows=4)
    for _ in range(2):
        got = list(parts)
        assert [t.num_rows for t in got] == [5, 10]
        assert pa.concat_tables(got)["row"].to_pylist() == [*range(5), *range(10)]
        assert parts.rows == 15


def test_names_of_documents_do_not_change_when_shards_come(tmp_path):
    low = pa.uint32()

    def told(shard, other):
        columns = {"shard": shard, "row": [3, 3], "other_shard": other, "other_row": [1, 9]}
        return pa.table({k: pa.array(v, low) for k, v in columns.items()})

    before = named(told([1, 1], [0, 1]), shard_names(["aa" * 20, "bb" * 20]))
    after = named(told([2, 2], [0, 2]), shard_names(["aa" * 20, "cc" * 20, "bb" * 20]))
    assert before.equals(after)
    assert before.column_names == ["row", "own", "other"]
    assert len(set(shard_names(["aa" * 20] * 3).tolist())) == 3  # copies of a file are documents of their own


@given(st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=20), min_size=1, max_size=3))
def test_all_told_at_once_is_what_each_is_told(tmp_path_factory, senders):
    folder = tmp_path_factory.mktemp("told")
    paths = [str(folder / f"{i}.arrow") for i in range(len(senders))]
    for path, rows in zip(paths, senders, strict=True):
        shard, row = (np.array([r[k] for r in rows], np.uint32) for k in (0, 1))
        write_decisions(path, pa.table({"shard": shard, "row": row, "n": np.arange(len(rows))}), 4)
    every = read_all_decisions(paths, 4)
    assert [t.to_pylist() for t in every] == [read_decisions(paths, i).to_pylist() for i in range(4)]


def test_a_receiver_reads_its_own_batches_only(tmp_path):
    keys = np.sort(np.random.default_rng(1).integers(0, 2**64, 40_000, dtype=np.uint64))
    path = str(tmp_path / "a")
    write_keys(path, [batch(keys)], SCHEMA)
    with BatchFile(path) as file:
        sizes = [batch.num_rows for batch in file]
    assert sum(sizes) == len(keys)
    assert len(sizes) > 8
    assert max(sizes) < 2 * len(keys) / len(sizes)
    of = slice_of_key(keys)
    for first, last in [(0, 1), (3, 4), (100, 180), (255, 256), (0, 256), (7, 7)]:
        got = read_slices([path], first, last)["key"].to_numpy()
        assert sorted(got) == keys[(of >= first) & (of < last)].tolist()
