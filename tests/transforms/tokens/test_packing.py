"""Kernels against slow and obvious versions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.transforms.tokens.packing import best_fit, cut_full_rows, cut_stream, distinct, wrap


def plain_best_fit(sizes: list[int], length: int) -> list[list[int]]:
    rows: list[list[int]] = []
    for size in sizes:
        fits = [r for r in rows if sum(r) + size <= length]
        if fits:
            max(fits, key=sum).append(size)
        else:
            rows.append([size])
    return rows


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 40), st.data())
def test_best_fit_fills_rows_as_the_plain_version(length: int, data: st.DataObject) -> None:
    sizes = sorted(data.draw(st.lists(st.integers(1, length), max_size=60)), reverse=True)
    rows, count = best_fit(np.array(sizes, np.int64), length)
    made: list[list[int]] = [[] for _ in range(count)]
    for size, row in zip(sizes, rows):
        made[row].append(size)
    assert all(0 < sum(row) <= length for row in made)
    # ties between equally full rows may fall differently, the fills may not
    assert sorted(map(sum, made)) == sorted(map(sum, plain_best_fit(sizes, length)))


def test_best_fit_in_any_order_never_overfills_and_always_takes_the_fullest() -> None:
    rng = np.random.default_rng(0)
    for length in (1, 2, 3, 7, 64, 100, 1025):
        sizes = rng.integers(1, length + 1, 500)
        rows, count = best_fit(sizes, length)
        used = np.zeros(count, np.int64)
        for size, row in zip(sizes, rows):
            open_rows = used[(used > 0) & (used + size <= length)]
            assert used[row] == (open_rows.max() if len(open_rows) else 0)
            used[row] += size
        assert used.max() <= length


def test_50_000_equal_pieces_take_linear_time() -> None:
    rows, count = best_fit(np.full(50_000, 3, np.int64), 10)
    assert count == 16_667
    assert np.bincount(rows).max() == 3


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.integers(2, 12))
def test_cuts_cover_every_token_once(sizes: list[int], length: int) -> None:
    total = np.array(sizes, np.int64)
    full = cut_full_rows(total, length)
    stream = cut_stream(total, length)
    for document, offset, size in (full, stream[:3]):
        assert np.bincount(document, size, len(sizes)).astype(int).tolist() == sizes
        assert size.min() >= 1
        for d in range(len(sizes)):
            begin, n = offset[document == d], size[document == d]
            assert begin[0] == 0
            assert (begin[1:] == (begin + n)[:-1]).all()
    used = np.bincount(stream[3], stream[2]).astype(int)
    assert (used[:-1] == length).all()
    assert (np.diff(full[0]) > 0).sum() + 1 == len(sizes)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_wrap(dtype: type) -> None:
    offsets, ids = np.array([2, 4, 4, 5]), np.array([9, 9, 5, 6, 7], np.uint32)
    ends, tokens = wrap(offsets, ids, 1, 2, np.dtype(dtype))
    assert (ends.tolist(), tokens.tolist(), tokens.dtype) == ([0, 4, 4, 7], [1, 5, 6, 2, 1, 7, 2], dtype)
    ends, tokens = wrap(offsets, ids, -1, -1, np.dtype(dtype))
    assert (ends.tolist(), tokens.tolist()) == ([0, 2, 2, 3], [5, 6, 7])


def test_equal_hashes_become_distinct_and_others_stay() -> None:
    hashes = np.array([[5, 1], [7, 7], [5, 1], [5, 2], [5, 1]], np.uint64)
    made = distinct(hashes.copy())
    assert len({tuple(h) for h in made.tolist()}) == 5
    assert made[[1, 3]].tolist() == hashes[[1, 3]].tolist()
    assert (distinct(hashes[[1, 3]].copy()) == hashes[[1, 3]]).all()
