import numpy as np
import pytest

from corpusmill.transforms.hashing import U
from corpusmill.transforms.kernels.bits import char_count, find_byte, load64, trailing_zeros
from corpusmill.transforms.kernels.njit import njit


@njit(nogil=True, cache=True)
def searched(data, start, stop, byte):
    return find_byte(data, start, stop, byte)


@njit(nogil=True, cache=True)
def counted(data, start, stop):
    return char_count(data, start, stop)


@njit(nogil=True, cache=True)
def loaded(data, at):
    return load64(data, at), trailing_zeros(load64(data, at))


def test_eight_bytes_come_little_endian():
    data = np.frombuffer(b"\xff" + (0x0123456789ABCD00).to_bytes(8, "little") + b"\xff", np.uint8)
    assert loaded(data, 1) == (0x0123456789ABCD00, 8)
    assert loaded(np.zeros(8, np.uint8), 0) == (U(0), U(64))


def test_a_byte_is_found_wherever_it_lies():
    # a byte one above it, behind it, is what the trick of borrowed bits takes for another of its kind
    for filler in (b"x", b"\x0b", b"\x8a", b"\x00", b"\xff"):
        for size in range(20):
            for at in range(size):
                data = np.frombuffer(filler * at + b"\n" + b"\x0b" * (size - at - 1), np.uint8)
                for start in range(size + 1):
                    assert searched(data, start, size, 10) == (at if start <= at else size)
                assert searched(data, 0, at, 10) == at  # not behind the end


@pytest.mark.parametrize(
    "text", ["", "a", "plain text, longer than eight", "é", "naïve café, déjà vu", "数据清洗 and 🙂🙂🙂"]
)
def test_characters_are_counted_from_any_place_on(text):
    data = np.frombuffer(text.encode() + b"\x80" * 8, np.uint8)
    at = [len(text[:k].encode()) for k in range(len(text) + 1)]
    for i, start in enumerate(at):
        for j in range(i, len(at)):
            assert counted(data, start, at[j]) == j - i
