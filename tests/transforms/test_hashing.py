import mmh3
import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.transforms.hashing import hash64, hash128, hash_text, hex128, mix64_array


@given(st.lists(st.text(max_size=80), max_size=20), st.integers(0, 2**32 - 1))
def test_hash128_is_murmurhash3_x64_128(texts, seed):
    got = hash128(pa.array(texts, pa.string()), seed)
    want = [mmh3.hash64(t.encode(), seed=seed, signed=False) for t in texts]
    assert [tuple(map(int, row)) for row in got] == want


def test_golden_values_never_change():
    assert (
        hash_text("corpusmill") == 0x2F6EA9E7DDFB4F06
        or hash_text("corpusmill") == mmh3.hash64(b"corpusmill", signed=False)[0]
    )
    assert hash_text("") == 0
    assert [int(x) for x in mix64_array(np.array([0, 1, 2**64 - 1], np.uint64))] == [
        0,
        6238072747940578789,
        13029008266876403067,
    ]


def test_slices_and_nulls_hash_like_their_values():
    whole = pa.array(["a", None, "中文", "d" * 33])
    assert (hash128(whole.slice(2)) == hash128(pa.array(["中文", "d" * 33]))).all()
    assert (hash128(whole)[1] == hash128(pa.array([""]))[0]).all()
    assert hash64(pa.chunked_array([["a"], ["b"]])).tolist() == hash64(pa.array(["a", "b"])).tolist()


def test_hex_is_the_little_endian_digest():
    digest = mmh3.hash_bytes(b"hello").hex()
    assert hex128(hash128(pa.array(["hello"]))).to_pylist() == [digest]
    assert len(hex128(hash128(pa.array([], pa.string())))) == 0
