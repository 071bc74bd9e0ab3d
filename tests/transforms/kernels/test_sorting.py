"""Sorting inside kernels, with NumPy as the truth."""

import numpy as np
import pytest

from corpusmill.transforms.kernels.sorting import heapsort


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 100, 1000])
def test_values_rise_and_carry_theirs_along(n):
    values = np.random.default_rng(n).integers(0, max(1, n // 2), n).astype(np.uint64)
    carried = values.astype(np.int64) * 3
    wanted = np.sort(values)
    heapsort(values, carried, n)
    assert values.tolist() == wanted.tolist()
    assert carried.tolist() == (wanted.astype(np.int64) * 3).tolist()


def test_what_lies_behind_stays():
    values, carried = np.array([3, 1, 2, 0], np.uint64), np.arange(4)
    heapsort(values, carried, 3)
    assert (values.tolist(), carried.tolist()) == ([1, 2, 3, 0], [1, 2, 0, 3])
