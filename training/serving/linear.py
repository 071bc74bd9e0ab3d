"""A linear text classifier that trains in seconds from a few labels: softmax regression on words, word pairs and letters.

    p(y | x) = softmax(W f(x) + b)
    f: log((1 + n) / (1 + n_j)) + 1 for each feature j of the text that n_j of the n training texts have; one part for the
       distinct words and word pairs, one for the distinct runs of three characters, each scaled to length sqrt(1/2)
    loss = -mean sum_y t_y log p(y | x) + l2 / 2 * |W|^2,  minimised by L-BFGS from 0: convex, so no seed and one answer

Words are those of `corpusmill.transforms.unicode`: a character each in scripts without spaces. Runs of characters find misspelt and
inflected words again. The targets t are labels, or a teacher's shares of the classes. The teacher of a first self-training, and
a baseline for larger ones (cf. Joachims 1998; Wang and Manning 2012). A folder holds model.safetensors and linear.json.
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
import pyarrow.compute as pc

from corpusmill.transforms.dedup._shingles import shingle_sets
from corpusmill.transforms.errors import BadFileError, DatasetError, RecipeError
from corpusmill.transforms.normal_forms import normalize
from corpusmill.transforms.storage import write_atomic

WEIGHTS, ABOUT = "model.safetensors", "linear.json"
STRIPE = 4096
"""Texts turned into features at once; bounds memory."""
LETTERS = np.uint64(1 << 63)
"""Bit of the features that are runs of characters."""
PAIRS = 5
"""Past steps that L-BFGS remembers: its memory is twice as many copies of the weights."""

Features = tuple[np.ndarray, np.ndarray]


def features(texts: Sequence[str]) -> Features:
    """(offsets int64 [n + 1], ids uint64): the distinct words, word pairs and runs of three characters of each text."""
    array = normalize(pa.array(list(texts), pa.string()), "NFC")
    parts = []
    for n in (1, 2):
        lists = shingle_sets(array, n)
        ids = lists.values.to_numpy().astype(np.uint64) | np.uint64((n - 1) << 32)
        parts.append((np.repeat(np.arange(len(array)), np.diff(lists.offsets.to_numpy())), ids))
    row, ids = (np.concatenate(columns) for columns in zip(*parts, _runs(array)))
    order = np.argsort(row, kind="stable")
    offsets = np.zeros(len(array) + 1, np.int64)
    np.cumsum(np.bincount(row, minlength=len(array)), out=offsets[1:])
    return offsets, ids[order]


def _runs(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """(row int64, id uint64) of the distinct runs of three characters, lower-cased, one space for all that is no letter,
    mark or digit and at both ends. An id holds the three code points themselves, so that no two are confused."""
    plain = pc.replace_substring_regex(pc.utf8_lower(texts), r"[^\pL\pM\pN]+", " ")
    plain = pc.binary_join_element_wise(" ", pc.utf8_trim_whitespace(plain), " ", "")
    sizes = pc.utf8_length(plain).to_numpy().astype(np.int64)
    points = np.frombuffer("".join(plain.to_pylist()).encode("utf-32-le"), np.uint32).astype(np.uint64)
    row = np.repeat(np.arange(len(texts)), sizes)
    inside = np.flatnonzero(row[:-2] == row[2:]) if len(row) > 2 else np.zeros(0, np.int64)
    ids = LETTERS | points[inside] << np.uint64(42) | points[inside + 1] << np.uint64(21) | points[inside + 2]
    order = np.lexsort((ids, row[inside]))
    row, ids = row[inside][order], ids[order]
    new = np.ones(len(ids), bool)
    new[1:] = (ids[1:] != ids[:-1]) | (row[1:] != row[:-1])
    return row[new], ids[new]


class Linear:
    """A trained classifier. Implements `corpusmill.transforms.generate.model.Model` as far as classes go.

    known: uint64 [d], the features in rising order; rarity float64 [d], their weight in a text; weights float64
    [d + 1, classes], the last row the bias.
    """

    def __init__(self, known: np.ndarray, rarity: np.ndarray, weights: np.ndarray, classes: list[str]) -> None:
        self.known, self.rarity, self.weights, self.classes = known, rarity, weights, classes
        digest = hashlib.sha256(known.tobytes() + rarity.tobytes() + weights.tobytes() + json.dumps(classes).encode())
        self.digest = digest.hexdigest()[:32]

    @classmethod
    def train(cls, texts: Sequence[str], labels: Sequence[str], l2: float = 1e-4, steps: int = 40) -> Linear:
        """Fit to labelled texts. Raises RecipeError for fewer than two classes."""
        classes = sorted(set(labels))
        place = {name: i for i, name in enumerate(classes)}
        return cls.fit(texts, np.eye(len(classes))[[place[label] for label in labels]], classes, l2, steps)

    @classmethod
    def fit(
        cls, texts: Sequence[str], targets: np.ndarray, classes: list[str], l2: float = 1e-4, steps: int = 40
    ) -> Linear:
        """Fit to shares of the classes, float64 [n, classes], rows of sum 1. Raises RecipeError for fewer than two classes."""
        from scipy.optimize import minimize  # type: ignore[import-untyped]

        if len(classes) < 2:
            raise RecipeError(f"a classifier needs at least two labels; the training texts have {len(classes)}")
        given = features(texts)
        known, rarity = rarities(given)
        x = matrix(given, known, rarity)
        turned = x.T.tocsr()
        shape, n = (len(known) + 1, len(classes)), len(texts)
        decay = np.full((shape[0], 1), l2)
        decay[-1] = 0.0

        def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
            w = flat.reshape(shape)
            z = x @ w
            z -= z.max(axis=1, keepdims=True)
            z -= np.log(np.exp(z).sum(axis=1, keepdims=True))
            value = -(targets * z).sum() / n + 0.5 * (decay * w * w).sum()
            slope = turned @ (np.exp(z) - targets) / n + decay * w
            return float(value), np.asarray(slope).ravel()

        options = {"maxiter": steps, "maxcor": PAIRS}
        optimum = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options=options)
        return cls(known, rarity, optimum.x.reshape(shape), classes)

    def classify(self, texts: Sequence[str]) -> np.ndarray:
        """Logits float64 [n, classes]. Each text's are summed alone, in the order of its features."""
        parts = [np.zeros((0, len(self.classes)))]
        for i in range(0, len(texts), STRIPE):
            given = features(texts[i : i + STRIPE])
            parts.append(np.asarray(matrix(given, self.known, self.rarity) @ self.weights))
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
        tensors = {"features": self.known.view(np.int64), "rarity": self.rarity, "weights": self.weights}
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
        if missing := {"features", "rarity", "weights"} - set(tensors):
            raise BadFileError(
                path, f"has no {', '.join(sorted(missing))}: an older version wrote it", "train it again"
            )
        model = cls(tensors["features"].view(np.uint64), tensors["rarity"], tensors["weights"], about["classes"])
        if model.digest != about["digest"]:
            raise BadFileError(path, f"has digest {model.digest}, {ABOUT} says {about['digest']}", "train it again")
        return model


def _about(folder: str | Path) -> dict[str, Any]:
    path = os.path.join(folder, ABOUT)
    try:
        with open(path, encoding="utf-8") as f:
            about: dict[str, Any] = json.load(f)
            return about
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{path}: there is no linear classifier ({error}); name a folder that `selftrain` wrote."
        ) from None


def rarities(given: Features) -> tuple[np.ndarray, np.ndarray]:
    """(features that occur, uint64 [d] rising; log((1 + n) / (1 + n_j)) + 1 of each, float64 [d])."""
    known, counts = np.unique(given[1], return_counts=True)
    return known, np.log(len(given[0]) / (1.0 + counts)) + 1.0


def matrix(given: Features, known: np.ndarray, rarity: np.ndarray) -> Any:
    """f of each text, sparse float64 [n, d + 1]; the last column is 1."""
    from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

    offsets, ids = given
    n = len(offsets) - 1
    row = np.repeat(np.arange(n), np.diff(offsets))
    at = np.minimum(np.searchsorted(known, ids), max(0, len(known) - 1))
    hit = known[at] == ids if len(known) else np.zeros(len(ids), bool)
    row, at, letters = row[hit], at[hit], (ids[hit] >= LETTERS).astype(np.int64)
    value = rarity[at]
    part = 2 * row + letters
    value = value / np.sqrt(2.0 * np.bincount(part, value * value, 2 * n))[part]
    rows = np.concatenate((row, np.arange(n)))
    columns = np.concatenate((at, np.full(n, len(known))))
    return csr_matrix((np.concatenate((value, np.ones(n))), (rows, columns)), shape=(n, len(known) + 1))


def open_linear(spec: str) -> Linear:
    """The opener of `linear:FOLDER`."""
    return Linear.load(spec.partition(":")[2])


open_linear.digest = lambda spec: _about(spec.partition(":")[2])["digest"]  # type: ignore[attr-defined]
