"""Compressed streams: every byte, however they are written one after the other, and an error wherever they are cut."""

import gzip
import lzma

import pytest

from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.sources.compressed import open_stream
from corpusmill.transforms.sources.limits import Budget
from tests.transforms.sources.made import COMPRESS

DATA = b"".join(b"%d some words\n" % (i * 7919) for i in range(3000))


def _read(path, size=None, begin=0, n=777):
    data = b""
    with open_stream(str(path), Budget(str(path), size or path.stat().st_size, 1000), begin) as stream:
        while chunk := stream.read(n):
            assert len(chunk) <= n
            data += chunk
    return data


@pytest.mark.parametrize("suffix", COMPRESS)
def test_all_bytes_are_read(tmp_path, suffix):
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(COMPRESS[suffix](DATA))
    assert _read(path) == DATA
    path.write_bytes(COMPRESS[suffix](DATA) * 2)
    assert _read(path) == DATA * 2


@pytest.mark.parametrize("suffix", [s for s in COMPRESS if s])
def test_a_stream_cut_anywhere_is_an_error(tmp_path, suffix):
    data = COMPRESS[suffix](DATA)
    path = tmp_path / f"a.txt{suffix}"
    for at in range(1, len(data), len(data) // 60):
        path.write_bytes(data[:at])
        with pytest.raises(BadFileError, match="truncated or corrupt"):
            _read(path)


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_garbage_behind_a_stream_is_an_error_and_zeros_are_not(tmp_path, suffix):
    path = tmp_path / f"a.txt{suffix}"
    compress = {".gz": gzip.compress, ".xz": lzma.compress}[suffix]
    path.write_bytes(compress(DATA) + bytes(70_000) + compress(DATA) + bytes(4))
    assert _read(path) == DATA * 2
    path.write_bytes(compress(DATA) + bytes(4) + b"garbage")
    with pytest.raises(BadFileError, match="truncated or corrupt"):
        _read(path)


def test_nothing_is_read_behind_the_listed_size(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(DATA + b"appended later")
    assert _read(path, size=len(DATA)) == DATA
    assert _read(path, size=len(DATA), begin=10) == DATA[10:]
