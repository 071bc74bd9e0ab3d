"""Object files of functions: what they hold, and what is left to numba."""

import numpy as np
import pytest

from corpusmill.transforms.kernels.build import build, type_of
from corpusmill.transforms.kernels.njit import _Entry, signature


def call(function, *args):
    """The result of `function` through an object file of its own."""
    name = f"test_build.{function.__name__}"
    code, description = build(function, signature(args), name)
    assert code, description
    done, value = _Entry(name, code, description)(args)
    assert done
    return value


def test_numbers_arrays_and_tuples_come_back_as_they_are():
    def shapes(values, factor, scale, flag):
        return values * factor, len(values), scale / 2, not flag

    doubled, size, half, other = call(shapes, np.arange(4, dtype=np.int64), 2, 3.0, True)
    assert doubled.tolist() == [0, 2, 4, 6]
    assert (size, half, other) == (4, 1.5, False)

    def nothing(values):
        values[0] = 7

    values = np.zeros(2, np.uint8)
    assert call(nothing, values) is None
    assert values.tolist() == [7, 0]


def test_an_unsigned_result_keeps_its_upper_half():
    def complement(x):
        return ~x

    assert call(complement, np.uint64(5)) == 2**64 - 6


def test_an_error_inside_is_a_status_and_no_crash():
    def fails(values):
        if len(values):
            raise ValueError("no")
        return 1

    args = (np.zeros(1),)
    code, description = build(fails, signature(args), "test_build.fails")
    assert _Entry("test_build.fails", code, description)(args) == (False, None)


@pytest.mark.parametrize("unfit", ["text", "many"])
def test_what_an_object_file_cannot_give_back_is_left_to_numba(unfit):
    def text(x):
        return "text"

    def many(x):
        return (x, x, x, x, x, x, x, x, x, x), (x, x, x, x, x, x, x, x, x, x), x

    big = np.zeros((1,) * 4)
    code, reason = build({"text": text, "many": many}[unfit], signature((big,)), f"test_build.{unfit}")
    assert code == b""
    assert "it returns" in reason


def test_types_follow_the_signature():
    from numba import types

    assert type_of("u") is types.uint64
    frozen = np.zeros((2, 3), np.int16)
    frozen.flags.writeable = False
    kind = type_of(signature((frozen,))[0])
    assert (kind.dtype, kind.ndim, kind.layout, kind.mutable) == (types.int16, 2, "C", False)
