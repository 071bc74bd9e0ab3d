"""Hashes over Arrow buffers: MurmurHash3 x64 128 for identity, cheap mixers for keys.

Kernels take the two buffers of a string array (int32 offsets, uint8 data) and release the GIL. The 128-bit hash is
MurmurHash3_x64_128 of Austin Appleby (public domain, github.com/aappleby/smhasher), checked against the `mmh3` package
in the tests. Results are golden: document ids depend on every bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.kernels.bits import U as U
from corpusmill.transforms.kernels.bits import load64
from corpusmill.transforms.kernels.njit import njit

if TYPE_CHECKING:
    import pyarrow as pa


GOLDEN = U(0x9E3779B97F4A7C15)
_C1, _C2 = U(0x87C37B91114253D5), U(0x4CF5AD432745937F)


@njit(inline="always")
def mix64(x: Any) -> Any:
    """A bijection of uint64 whose output bits each depend on every input bit (variant 13 of Stafford's mixers)."""
    x = (x ^ (x >> U(30))) * U(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> U(27))) * U(0x94D049BB133111EB)
    return x ^ (x >> U(31))


def mix64_array(x: np.ndarray) -> np.ndarray:
    """`mix64` over a uint64 array."""
    with np.errstate(over="ignore"):
        x = (x ^ (x >> U(30))) * U(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> U(27))) * U(0x94D049BB133111EB)
    return x ^ (x >> U(31))


@njit(inline="always")
def _rotl(x: Any, r: int) -> Any:
    return (x << U(r)) | (x >> U(64 - r))


@njit(inline="always")
def _fmix(k: Any) -> Any:
    k = (k ^ (k >> U(33))) * U(0xFF51AFD7ED558CCD)
    k = (k ^ (k >> U(33))) * U(0xC4CEB9FE1A85EC53)
    return k ^ (k >> U(33))


@njit(nogil=True, cache=True)
def murmur128(data: Any, start: int, stop: int, seed: Any) -> tuple[Any, Any]:
    """MurmurHash3_x64_128 of data[start:stop]: (first, second) uint64 of the digest."""
    h1 = U(seed)
    h2 = U(seed)
    n = stop - start
    blocks = n // 16
    for b in range(blocks):
        k1 = load64(data, start + 16 * b)
        k2 = load64(data, start + 16 * b + 8)
        h1 ^= _rotl(k1 * _C1, 31) * _C2
        h1 = (_rotl(h1, 27) + h2) * U(5) + U(0x52DCE729)
        h2 ^= _rotl(k2 * _C2, 33) * _C1
        h2 = (_rotl(h2, 31) + h1) * U(5) + U(0x38495AB5)
    tail = start + 16 * blocks
    k1 = U(0)
    k2 = U(0)
    for i in range(stop - tail):
        if i < 8:
            k1 |= U(data[tail + i]) << U(8 * i)
        else:
            k2 |= U(data[tail + i]) << U(8 * (i - 8))
    if stop - tail > 8:
        h2 ^= _rotl(k2 * _C2, 33) * _C1
    if stop - tail > 0:
        h1 ^= _rotl(k1 * _C1, 31) * _C2
    h1 ^= U(n)
    h2 ^= U(n)
    h1 += h2
    h2 += h1
    h1 = _fmix(h1)
    h2 = _fmix(h2)
    h1 += h2
    h2 += h1
    return h1, h2


@njit(nogil=True, cache=True)
def _murmur128_rows(offsets: Any, data: Any, seed: Any, out: Any) -> None:
    for i in range(len(offsets) - 1):
        out[i, 0], out[i, 1] = murmur128(data, offsets[i], offsets[i + 1], seed)


def hash128(strings: pa.Array, seed: int = 0) -> np.ndarray:
    """128-bit hash of each string: uint64 [n, 2]. `seed` is 32 bits wide. Nulls hash as empty strings."""
    offsets, data = string_buffers(strings)
    out = np.empty((len(strings), 2), np.uint64)
    _murmur128_rows(offsets, data, U(seed), out)
    return out


def hash64(strings: pa.Array, seed: int = 0) -> np.ndarray:
    """64-bit hash of each string: the first half of `hash128`, uint64 [n]."""
    return np.ascontiguousarray(hash128(strings, seed)[:, 0])


def hash_text(text: str, seed: int = 0) -> int:
    """64-bit hash of one string, equal to `hash64` of an array that holds it."""
    data = np.frombuffer(text.encode() or b"\0", np.uint8)
    return int(murmur128(data, 0, len(text.encode()), U(seed))[0])


_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


def hex128(hashes: np.ndarray) -> pa.Array:
    """Digests uint64 [n, 2] as a string array of 32 lower-case hexadecimal digits, as `bytes.hex` of the digest."""
    import pyarrow as pa

    raw = np.ascontiguousarray(hashes.astype("<u8", copy=False)).view(np.uint8).reshape(-1)
    digits = np.empty(2 * len(raw), np.uint8)
    digits[0::2], digits[1::2] = _HEX[raw >> 4], _HEX[raw & 15]
    offsets = np.arange(len(hashes) + 1, dtype=np.int32) * 32
    return pa.StringArray.from_buffers(len(hashes), pa.py_buffer(offsets), pa.py_buffer(digits))
