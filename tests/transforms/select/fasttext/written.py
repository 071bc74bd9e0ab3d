"""Writes small fastText models with random matrices, in fastText's own layout."""

import struct
from pathlib import Path

import numpy as np

WORDS = ["</s>", "the", "river", "runs", "café", "naïve", "河", "valley", "and", "of", "don't"]
LABELS = {"__label__good": 70, "__label__bad": 20, "__label__odd": 9, "__label__rare": 1}
LOSS = {"hs": 1, "ns": 2, "softmax": 3, "ova": 4}


def dense(matrix: np.ndarray) -> bytes:
    return struct.pack("<qq", *matrix.shape) + matrix.astype("<f4").tobytes()


def quantiser(rng: np.random.Generator, dim: int, dsub: int) -> bytes:
    parts = -(-dim // dsub)
    last = dim - (parts - 1) * dsub
    return struct.pack("<iiii", dim, parts, dsub, last) + rng.normal(0, 1, dim * 256).astype("<f4").tobytes()


def quantised(rng: np.random.Generator, rows: int, dim: int, dsub: int, normed: bool) -> bytes:
    codes = rng.integers(0, 256, rows * -(-dim // dsub), np.uint8).tobytes()
    out = struct.pack("<?qqi", normed, rows, dim, len(codes)) + codes + quantiser(rng, dim, dsub)
    return out + (rng.integers(0, 256, rows, np.uint8).tobytes() + quantiser(rng, 1, 1) if normed else b"")


def write_model(
    path: Path,
    loss: str = "softmax",
    order: int = 2,
    characters: tuple[int, int] = (0, 0),
    dim: int = 6,
    buckets: int = 50,
    small: bool = False,
    kind: int = 3,
    seed: int = 1,
) -> Path:
    """small: product-quantised and pruned, as `fasttext quantize` makes it."""
    rng = np.random.default_rng(seed)
    head = struct.pack("<ii", 793712314, 12)
    head += struct.pack("<12id", dim, 5, 5, 1, 5, order, LOSS[loss], kind, buckets, *characters, 100, 1e-4)
    kept = rng.permutation(buckets)[: buckets // 2] if small else []
    entries = [*((w, 5, 0) for w in WORDS), *((name, n, 1) for name, n in LABELS.items())]
    head += struct.pack("<iiiqq", len(entries), len(WORDS), len(LABELS), 1000, len(kept) if small else -1)
    head += b"".join(w.encode() + b"\0" + struct.pack("<qb", n, k) for w, n, k in entries)
    head += b"".join(struct.pack("<ii", old, new) for new, old in enumerate(kept))
    rows = len(WORDS) + (len(kept) if small else buckets)
    if small:
        body = b"\1" + quantised(rng, rows, dim, 4, normed=True)
    else:
        body = b"\0" + dense(rng.normal(0, 1, (rows, dim)))
    path.write_bytes(head + body + b"\0" + dense(rng.normal(0, 1, (len(LABELS), dim))))
    return path
