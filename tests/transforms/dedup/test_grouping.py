from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.transforms.dedup._grouping import column, distinct, grouped, places, repeated

U = np.uint64


def sets_of(key: np.ndarray, rows: np.ndarray, runs: np.ndarray) -> dict[int, list[int]]:
    out = {}
    for begin, end in zip(runs, runs[1:]):
        values = {int(key[r]) for r in rows[begin:end]}
        assert len(values) == 1
        out[values.pop()] = rows[begin:end].tolist()
    return out


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3), st.integers(0, 2**64 - 1)), max_size=200))
def test_repeated_and_grouped_equal_a_dictionary(items: list[tuple[int, int, int]]) -> None:
    key, second, third = (np.array([x[i] for x in items], U) for i in range(3))
    expected = defaultdict(list)
    for i in sorted(range(len(items)), key=lambda i: items[i]):
        expected[items[i][0]].append(items[i])
    got = {k: [items[r] for r in v] for k, v in sets_of(key, *grouped(key, second, third)).items()}
    assert got == expected
    got = {k: [items[r] for r in v] for k, v in sets_of(key, *repeated(key, second, third)).items()}
    assert got == {k: v for k, v in expected.items() if len(v) > 1}


@pytest.mark.parametrize("n", [0, 1, 2, 30])
def test_small_inputs(n: int) -> None:
    key = np.arange(n, dtype=U)
    rows, runs = repeated(key, key, key)
    assert len(rows) == 0
    assert runs.tolist() == [0]
    rows, runs = grouped(key, key, key)
    assert sorted(rows.tolist()) == list(range(n))
    assert len(runs) == n + 1


def test_a_hot_key_among_many_single_ones() -> None:
    rng = np.random.default_rng(1)
    key = rng.integers(0, 2**64, 60_000, dtype=U)
    key[::2] = 7
    third = rng.integers(0, 2**64, 60_000, dtype=U)
    rows, runs = repeated(key, np.zeros(60_000, U), third)
    assert runs.tolist() == [0, 30_000]
    assert np.all(np.diff(third[rows].astype(object)) > 0)
    assert Counter(key[rows].tolist()) == {7: 30_000}


def test_columns_of_chunked_and_sliced_tables() -> None:
    table = pa.table({"shard": pa.array([1, 2], pa.uint32()), "row": pa.array([3, 4], pa.uint32())})
    both = pa.concat_tables([table, table]).slice(1)
    assert column(both, "row").tolist() == [4, 3, 4]
    assert places(both).tolist() == [(2 << 32) + 4, (1 << 32) + 3, (2 << 32) + 4]
    assert column(table.slice(0, 0), "row").tolist() == []


def test_distinct() -> None:
    values, index = distinct(np.array([2, 2, 5, 9, 9], np.uint32))
    assert values.tolist() == [2, 5, 9]
    assert index.tolist() == [0, 0, 1, 2, 2]
    assert distinct(np.zeros(0, np.uint32))[0].tolist() == []
