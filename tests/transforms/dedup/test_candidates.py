import numpy as np
import pyarrow as pa

from transforms.dedup.candidates import ALL, CANDIDATES, NEXT, PAIRS, band_pairs, candidates


def rows(key: list[int], content: list[int], row: list[int] | None = None) -> pa.Table:
    return pa.table(
        {
            "key": pa.array(key, pa.uint64()),
            "row": pa.array(range(len(key)) if row is None else row, pa.uint32()),
            "content": pa.array(content, pa.uint64()),
            "shard": pa.array([0] * len(key), pa.uint32()),
        }
    )


def pairs_of(table: pa.Table) -> set[tuple[int, int, bool]]:
    return {(p["row"], p["other_row"], p["same"]) for p in table.to_pylist()}


def test_equal_documents_are_tied_in_their_first_band_and_compared_once() -> None:
    first = [2 * x + 1 for x in (8, 8, 8, 9)]
    assert pairs_of(band_pairs(rows([5] * 4, first))) == {(0, 1, True), (0, 2, True), (0, 3, False)}
    other = [2 * x for x in (8, 8, 8, 9)]
    assert pairs_of(band_pairs(rows([5] * 4, other))) == {(0, 3, False)}


def test_a_small_band_gives_all_pairs() -> None:
    got = pairs_of(band_pairs(rows([1] * ALL, [2 * i for i in range(ALL)])))
    assert got == {(i, j, False) for i in range(ALL) for j in range(i + 1, ALL)}


def test_a_hot_band_gives_linearly_many_that_join_it() -> None:
    n = 5000
    pairs = band_pairs(rows([1] * n, [2 * (i + 1) for i in range(n)]))
    assert pairs.num_rows < n * (NEXT + 1)
    assert len(set(candidates(pairs)["component"].to_pylist())) == 1


def test_candidates() -> None:
    low = pa.uint32()
    pairs = pa.table(
        {
            "shard": pa.array([0, 0, 1, 0], low),
            "row": pa.array([1, 1, 7, 1], low),
            "other_shard": pa.array([0, 1, 1, 0], low),
            "other_row": pa.array([2, 5, 8, 2], low),
            "same": [False, False, True, False],
        }
    ).cast(PAIRS)
    got = candidates(pairs)
    assert got.schema == CANDIDATES
    far = 1 << 32
    assert [tuple(row.values()) for row in got.to_pylist()] == [
        (0, 1, 1, 1, 1, True, [2, far + 5]),
        (0, 2, 2, 1, 2, True, []),
        (1, 5, far + 5, 1, far + 5, True, []),
        (1, 7, far + 7, far + 7, far + 7, False, []),
        (1, 8, far + 8, far + 7, far + 7, False, []),
    ]


def test_nothing() -> None:
    assert band_pairs(rows([], [])).schema == PAIRS
    assert band_pairs(rows([1, 2], [2, 4])).num_rows == 0
    assert candidates(PAIRS.empty_table()).schema == CANDIDATES
    assert np.array_equal(candidates(PAIRS.empty_table())["row"].to_numpy(), [])
