"""Points of ristretto255 (RFC 9496) in bulk: hash to the group, and multiply by a secret scalar.

The arithmetic is libsodium's, in constant time, through the package rbcl; the loop calls the library with addresses inside
numpy arrays, which costs half of its Python functions, and lets go of the interpreter's lock during each call.
"""

from __future__ import annotations

import ctypes
import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from corpusmill.transforms.errors import MissingDependencyError, ProtocolError

POINT, WIDE = 32, 64
"""Bytes of an encoded point, and of the digest that a point is made from."""


def _library() -> Any:
    try:
        import rbcl
        from rbcl._sodium import _sodium
    except ImportError as error:
        raise MissingDependencyError("set intersection needs rbcl: pip install 'corpusmill[mpc]'") from error
    rbcl.crypto_core_ristretto255_scalar_random()  # raises here, not in a thread, if the library cannot start
    return _sodium


def random_scalar() -> np.ndarray:
    """A secret scalar, uniform and not zero: uint8 [32]."""
    _library()
    import rbcl

    return np.frombuffer(bytes(rbcl.crypto_core_ristretto255_scalar_random()), np.uint8)


def hash_to_group(elements: np.ndarray, domain: bytes) -> np.ndarray:
    """A point of unknown logarithm for each element (row of bytes): uint8 [n, 32]. SHA-512, then RFC 9496 section 4.3.4."""
    library = _library()
    rows = np.ascontiguousarray(elements).view(np.uint8).reshape(len(elements), -1)
    prefix = hashlib.sha512(len(domain).to_bytes(8, "little") + domain)
    wide = bytearray(WIDE * len(rows))
    for i, row in enumerate(rows):
        h = prefix.copy()
        h.update(row.data)
        wide[WIDE * i : WIDE * i + WIDE] = h.digest()
    source = np.frombuffer(wide, np.uint8)
    out = np.empty((len(rows), POINT), np.uint8)
    f = library.crypto_core_ristretto255_from_hash
    a, b = source.ctypes.data, out.ctypes.data
    for i in range(len(rows)):
        f(ctypes.c_void_p(b + POINT * i), ctypes.c_void_p(a + WIDE * i))
    return out


def multiply(points: np.ndarray, scalar: np.ndarray, workers: int = 1) -> np.ndarray:
    """scalar * point for each point: uint8 [n, 32].

    Raises ProtocolError if a row is no point, or the neutral one, which nobody reaches by following the protocol.
    """
    library = _library()
    points = np.ascontiguousarray(points, np.uint8)
    secret = bytes(scalar)
    out = np.empty_like(points)
    f = library.crypto_scalarmult_ristretto255
    a, b, k = points.ctypes.data, out.ctypes.data, ctypes.c_char_p(secret)

    def some(begin: int, end: int) -> int:
        bad, pointer = 0, ctypes.c_void_p
        for at in range(POINT * begin, POINT * end, POINT):
            bad |= f(pointer(b + at), k, pointer(a + at))
        return bad

    n = len(points)
    cuts = [n * i // workers for i in range(workers + 1)]
    if workers == 1:
        bad = some(0, n)
    else:
        with ThreadPoolExecutor(workers) as pool:
            bad = any(pool.map(some, cuts[:-1], cuts[1:]))
    if bad:
        raise ProtocolError(
            "a point was refused: it is not in the group, or is neutral. Its sender does not follow the protocol."
        )
    return out
