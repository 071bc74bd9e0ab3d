"""Vectors from a model of the user's, through the openers of `corpusmill.transforms.generate.model`."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.generate.model import open_model, scheme_of

SCHEMES = ("static", "embed")
"""Schemes of models that give a vector a text."""


def embed_with(spec: str, texts: pa.Array) -> np.ndarray:
    """Vectors of texts, int8 [n, d]; a text without words, or null, has zeros.

    Raises:
        RecipeError: `spec` names no model of vectors.
    """
    if scheme_of(spec) not in SCHEMES:
        raise RecipeError(
            f"vectors: {spec!r} names no vectors; write `static:FOLDER`, `static:wordllama` or `embed:FOLDER`"
        )
    found: np.ndarray = open_model(spec).embed(texts.fill_null("").to_pylist())  # type: ignore[attr-defined]
    return quantised(found)


def quantised(vectors: np.ndarray) -> np.ndarray:
    """Float vectors [n, d] as int8, the largest component of each 127; not a number counts as 0."""
    vectors = np.nan_to_num(np.asarray(vectors, np.float64))
    largest = np.abs(vectors).max(axis=1, initial=0.0, keepdims=True)
    scaled: np.ndarray = np.rint(vectors / np.where(largest > 0, largest, 1.0) * 127.0).astype(np.int8)
    return scaled
