"""What a document is: its columns, its roles and its identity.

A document is a row with `id`, `text`, `source` and the user's own columns. Optional roles (`user`, `label`, `lang`,
`created`, `priority`) are columns of those names. A derived document has `parent` and `derived_by`.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from corpusmill.transforms.hashing import hash128, hash_text, hex128

CORE = ("id", "text", "source")
LINEAGE = ("parent", "derived_by")


def text_ids(source: str, texts: pa.Array) -> pa.Array:
    """Ids of documents that bring no key of their own: 32 hexadecimal digits of a 128-bit hash of (source, text).

    The source's name enters as two 32-bit seeds mixed into the text's digest, so that hashing stays one pass over the text.
    """
    h = hash128(texts)
    h1 = hash128(pa.array([source]))[0]
    with np.errstate(over="ignore"):
        h[:, 0] = (h[:, 0] ^ h1[0]) * np.uint64(0x9E3779B97F4A7C15)
        h[:, 1] = (h[:, 1] + h1[1]) * np.uint64(0xBF58476D1CE4E5B9)
    h ^= h >> np.uint64(31)
    return hex128(h)


def derived_ids(parents: pa.Array, derivation: str, number: int) -> pa.Array:
    """Ids of derived documents: 32 hexadecimal digits of a hash of (parent id, derivation, copy number)."""
    h = hash128(parents, seed=hash_text(f"{derivation}\0{number}") & 0xFFFFFFFF)
    return hex128(h)
