"""A flipped bit in a file of batches never comes out as data."""

import contextlib

import pyarrow as pa
import pytest

from corpusmill.transforms.batches import BatchFile, BatchWriter
from corpusmill.transforms.errors import DamagedWorkError

SCHEMA = pa.schema([("id", pa.string()), ("n", pa.int64())])


def written(path, count=3, compression=None):
    batches = [pa.record_batch({"id": [f"{i}-{j}" for j in range(50)], "n": range(50)}, SCHEMA) for i in range(count)]
    with BatchWriter(str(path), SCHEMA, compression) as writer:
        for batch in batches:
            writer.write(batch)
        size = writer.close(begins=[0, 7])
    assert path.stat().st_size == size
    return batches


@pytest.mark.parametrize("compression", [None, "lz4"])
def test_batches_come_back_in_any_order_with_what_was_said_about_them(tmp_path, compression):
    batches = written(tmp_path / "a.batches", compression=compression)
    with BatchFile(str(tmp_path / "a.batches")) as file:
        assert (len(file), file.rows, file.about, file.schema) == (3, [50, 50, 50], {"begins": [0, 7]}, SCHEMA)
        assert [file.batch(i) for i in (2, 0)] == [batches[2], batches[0]]
        assert list(file) == batches


def test_a_file_without_batches_has_one_without_rows(tmp_path):
    written(tmp_path / "a.batches", 0)
    with BatchFile(str(tmp_path / "a.batches")) as file:
        assert [b.num_rows for b in file] == [0]
        assert file.schema == SCHEMA


def test_every_flipped_bit_is_found(tmp_path):
    path = tmp_path / "a.batches"
    written(path, 2)
    data = path.read_bytes()
    silent = []
    for place in range(8, len(data)):  # the first magic tells people what the file is, and nobody reads it
        path.write_bytes(data[:place] + bytes([data[place] ^ (1 << place % 8)]) + data[place + 1 :])
        with contextlib.suppress(DamagedWorkError):
            with BatchFile(str(path)) as file:
                list(file)
            silent.append(place)
    assert silent == []


@pytest.mark.parametrize("kept", [0, 5, 31, 400, -1])
def test_a_cut_file_is_damaged(tmp_path, kept):
    path = tmp_path / "a.batches"
    written(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DamagedWorkError), BatchFile(str(path)) as file:
        list(file)


def test_a_file_that_is_not_there_is_damaged_work(tmp_path):
    with pytest.raises(DamagedWorkError, match=r"it is not there.*run the same command again"):
        BatchFile(str(tmp_path / "none.batches"))


def test_a_file_that_is_not_closed_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), BatchWriter(str(tmp_path / "a.batches"), SCHEMA):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
