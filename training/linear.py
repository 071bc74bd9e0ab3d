"""A linear text classifier that trains in seconds from a few labels: softmax regression on words and pairs of words.

    p(y | x) = softmax(W f(x) + b),   f: 1 / sqrt(k) for each of the k distinct words and word pairs of the text
    loss = -mean log p(y | x) + l2 / 2 * |W|^2,  minimised by L-BFGS from 0: convex, so no seed and one answer

Words are those of `transforms.unicode`: a character each in scripts without spaces. The teacher of a first self-training, and a
baseline for larger ones (cf. Wang and Manning 2012; Joulin et al. 2017). A folder holds model.safetensors and linear.json.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from transforms.dedup.shingles import shingle_sets
from transforms.errors import BadFileError, DatasetError, RecipeError
from transforms.storage import write_atomic

WEIGHTS, ABOUT = "model.safetensors", "linear.json"
STRIPE = 4096
"""Texts turned into features at once; bounds memory."""


def features(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(offsets int64 [n + 1], ids uint64): the distinct words and word pairs of each text; those of pairs have bit 32 set."""
    array = pa.array(list(texts), pa.string())
    parts = []
    for n in (1, 2):
        lists = shingle_sets(array, n)
        ids = lists.values.to_numpy().astype(np.uint64) | np.uint64((n - 1) << 32)
        row = np.repeat(np.arange(len(array)), np.diff(lists.offsets.to_numpy()))
        parts.append((row, ids))
    row, ids = (np.concatenate(columns) for columns in zip(*parts))
    order = np.argsort(row, kind="stable")
    offsets = np.zeros(len(array) + 1, np.int64)
    np.cumsum(np.bincount(row, minlength=len(array)), out=offsets[1:])
    return offsets, ids[order]


class Linear:
    """A trained classifier. Implements `transforms.generate.model.Model` as far as classes go.

    known: uint64 [d], the features in rising order; weights float64 [d + 1, classes], the last row the bias.
    """

    def __init__(self, known: np.ndarray, weights: np.ndarray, classes: list[str]) -> None:
        self.known, self.weights, self.classes = known, weights, classes
        said = hashlib.sha256(known.tobytes() + weights.tobytes() + json.dumps(classes).encode())
        self.digest = said.hexdigest()[:32]

    @classmethod
    def train(cls, texts: Sequence[str], labels: Sequence[str], l2: float = 1e-5, steps: int = 100) -> Linear:
        """Fit to labelled texts. Raises RecipeError for fewer than two classes."""
        from scipy.optimize import minimize  # type: ignore[import-untyped]

        classes = sorted(set(labels))
        if len(classes) < 2:
            raise RecipeError(f"a classifier needs at least two labels; the training texts have {len(classes)}")
        offsets, ids = features(texts)
        known = np.unique(ids)
        x = _matrix(offsets, ids, known)
        place = {name: i for i, name in enumerate(classes)}
        wanted = np.eye(len(classes))[[place[label] for label in labels]]
        shape, n = (len(known) + 1, len(classes)), len(texts)
        decay = np.full((shape[0], 1), l2)
        decay[-1] = 0.0

        def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
            w = flat.reshape(shape)
            z = x @ w
            z -= z.max(axis=1, keepdims=True)
            z -= np.log(np.exp(z).sum(axis=1, keepdims=True))
            value = -(wanted * z).sum() / n + 0.5 * (decay * w * w).sum()
            slope = x.T @ (np.exp(z) - wanted) / n + decay * w
            return float(value), np.asarray(slope).ravel()

        found = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": steps})
        return cls(known, found.x.reshape(shape), classes)

    def classify(self, texts: Sequence[str]) -> np.ndarray:
        """Logits float64 [n, classes]. Each text's are summed alone, in the order of its features."""
        parts = [np.zeros((0, len(self.classes)))]
        for i in range(0, len(texts), STRIPE):
            offsets, ids = features(texts[i : i + STRIPE])
            parts.append(np.asarray(_matrix(offsets, ids, self.known) @ self.weights))
        return np.concatenate(parts)

    def complete(self, requests: Sequence[object]) -> list[str]:
        """A classifier writes no text."""
        raise RecipeError("a linear classifier writes no text; name a language model")

    def score(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """A classifier has no likelihoods."""
        raise RecipeError("a linear classifier has no likelihood of text; name a language model")

    def save(self, folder: str | Path) -> Path:
        """Write the folder; its linear.json last, so that it is whole where that exists."""
        from safetensors.numpy import save

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {"features": self.known.view(np.int64), "weights": self.weights}
        write_atomic(str(folder / WEIGHTS), save(tensors), fsync=False)
        about = {"classes": self.classes, "digest": self.digest}
        write_atomic(str(folder / ABOUT), json.dumps(about, ensure_ascii=False).encode(), fsync=False)
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Linear:
        """What `save` wrote. Raises DatasetError, BadFileError."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        about = _about(folder)
        path = os.path.join(folder, WEIGHTS)
        try:
            tensors = load_file(path)
        except (OSError, SafetensorError) as error:
            raise BadFileError(
                path, f"is not a whole safetensors file ({error})", "train the classifier again"
            ) from None
        made = cls(tensors["features"].view(np.uint64), tensors["weights"], about["classes"])
        if made.digest != about["digest"]:
            raise BadFileError(path, f"has digest {made.digest}, {ABOUT} says {about['digest']}", "train it again")
        return made


def _about(folder: str | Path) -> dict:
    path = os.path.join(folder, ABOUT)
    try:
        with open(path, encoding="utf-8") as f:
            found: dict = json.load(f)
            return found
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{path}: there is no linear classifier ({error}); name a folder that `selftrain` wrote."
        ) from None


def _matrix(offsets: np.ndarray, ids: np.ndarray, known: np.ndarray) -> Any:
    """Sparse float64 [n, d + 1]: 1 / sqrt(k) at each of a text's known features (k counts all of its features), and 1 last."""
    from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

    n = len(offsets) - 1
    row = np.repeat(np.arange(n), np.diff(offsets))
    at = np.searchsorted(known, ids)
    hit = (at < len(known)) & (known[np.minimum(at, max(0, len(known) - 1))] == ids if len(known) else False)
    value = 1.0 / np.sqrt(np.maximum(np.diff(offsets), 1))
    rows = np.concatenate((row[hit], np.arange(n)))
    columns = np.concatenate((at[hit], np.full(n, len(known))))
    values = np.concatenate((value[row[hit]], np.ones(n)))
    return csr_matrix((values, (rows, columns)), shape=(n, len(known) + 1))


def open_linear(spec: str) -> Linear:
    """The opener of `linear:FOLDER`."""
    return Linear.load(spec.partition(":")[2])


open_linear.digest = lambda spec: _about(spec.partition(":")[2])["digest"]  # type: ignore[attr-defined]
