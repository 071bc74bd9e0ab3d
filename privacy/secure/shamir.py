"""Shamir's secret shares (Shamir 1979): any t of n shares give the secret, t - 1 give nothing at all.

A secret s of 32 bytes is the constant of a random polynomial of degree t - 1 over the integers modulo the prime 2^521 - 1;
share x (1 .. n) is its value at x, as 66 little-endian bytes. The secret is what Lagrange's formula gives at 0.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

import numpy as np

from corpusmill.transforms.errors import ProtocolError

PRIME = (1 << 521) - 1
SECRET, SHARE = 32, 66


def split(secret: bytes, threshold: int, shares: int) -> np.ndarray:
    """uint8 [shares, 66]: row i is the share of x = i + 1.

    >>> rows = split(bytes(range(32)), 2, 3)
    >>> join({1: rows[0], 3: rows[2]}, 2) == bytes(range(32))
    True
    """
    if not 1 <= threshold <= shares or len(secret) != SECRET:
        raise ProtocolError(
            f"a secret of {len(secret)} bytes cannot be cut in {shares} shares of which {threshold} are needed."
        )
    coefficients = [int.from_bytes(secret, "little")] + [secrets.randbelow(PRIME) for _ in range(threshold - 1)]
    out = np.empty((shares, SHARE), np.uint8)
    for x in range(1, shares + 1):
        value = 0
        for c in reversed(coefficients):
            value = (value * x + c) % PRIME
        out[x - 1] = np.frombuffer(value.to_bytes(SHARE, "little"), np.uint8)
    return out


def join(shares: Mapping[int, np.ndarray], threshold: int) -> bytes:
    """The secret from at least `threshold` shares, by their x. Raises ProtocolError for fewer, or if they do not fit."""
    if len(shares) < threshold:
        raise ProtocolError(
            f"{len(shares)} shares are fewer than the {threshold} that were agreed; nothing is revealed."
        )
    points = {x: int.from_bytes(bytes(s), "little") for x, s in list(shares.items())[:threshold]}
    value = 0
    for x, y in points.items():
        top = bottom = 1
        for other in points:
            if other != x:
                top = top * -other % PRIME
                bottom = bottom * (x - other) % PRIME
        value = (value + y * top * pow(bottom, -1, PRIME)) % PRIME
    if value >= 1 << (8 * SECRET):
        raise ProtocolError("shares do not belong together: one of them was changed, or is of another run.")
    return value.to_bytes(SECRET, "little")
