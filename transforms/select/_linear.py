"""A text classifier over hashed n-grams: its probabilities, and its file.

A document is the mean of its n-grams, as in fastText (Joulin et al. 2016, "Bag of tricks for efficient text classification").
Two forms: linear, a weight for each n-gram and label; and averaged embeddings, a vector for each n-gram and a linear layer
behind the mean. `_train` trains them.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.transforms import storage
from corpusmill.transforms.errors import BadFileError, MissingDependencyError
from corpusmill.transforms.select._features import Grams, project
from corpusmill.transforms.storage.local import write_atomic

FORMAT, FORMAT_2 = "corpusmill scorer 1", "corpusmill scorer 2"
"""The second has n-grams of characters, or embeddings, which a reader of the first would leave out unseen."""
FILE = "scorer.safetensors"
"""Name of the scorer in a scorer's folder."""


@dataclass(frozen=True)
class Scorer:
    """A trained classifier.

    labels: names of the classes; weights: float32 [buckets, labels], or [buckets, d] of the embedding form; bias: float64
    [labels]; order: longest n-gram in words; temperature: by which logits are divided, so that probabilities agree with how
    often they are right on held-out documents; card: what it was trained on and how good it is, JSON-able; shortest, longest:
    characters of the n-grams of characters, 0 for none; output: float32 [d, labels] of the embedding form, else None.
    """

    labels: tuple[str, ...]
    weights: np.ndarray
    bias: np.ndarray
    order: int
    temperature: float = 1.0
    card: dict[str, Any] = field(default_factory=dict)
    shortest: int = 0
    longest: int = 0
    output: np.ndarray | None = None

    @property
    def grams(self) -> Grams:
        """What is counted in a text."""
        return Grams(self.order, len(self.weights), self.shortest, self.longest)

    @functools.cached_property
    def _direct(self) -> np.ndarray | None:
        """Weights float32 [buckets, labels] that score without a second layer; None where that layer is the cheaper way."""
        if self.output is None:
            return self.weights
        if len(self.labels) > self.weights.shape[1]:
            return None
        total = np.zeros((len(self.weights), len(self.labels)))
        for j, row in enumerate(self.output):  # one order of sums on any machine, which BLAS does not promise
            total += self.weights[:, j : j + 1] * row
        return total.astype(np.float32)

    def logits(self, texts: pa.Array) -> np.ndarray:
        """float64 [n, labels]. Null and wordless texts get the bias."""
        if self._direct is not None:
            return self.bias + self.grams.means(texts, self._direct)
        return project(self.grams.means(texts, self.weights), self.output, self.bias)  # type: ignore[arg-type]  # there is one

    def probabilities(self, texts: pa.Array) -> np.ndarray:
        """Calibrated probability of each label: float64 [n, labels], rows sum to 1."""
        return softmax(self.logits(texts) / self.temperature)

    def scored(self, texts: pa.Array, label: int) -> tuple[np.ndarray, np.ndarray]:
        """(probability of a label, its log odds), float64 [n] each."""
        logits = self.logits(texts) / self.temperature
        return softmax(logits)[:, label], log_odds(logits, label)

    def packed(self) -> bytes:
        """The scorer as a safetensors file, its card in the header. Equal scorers are equal bytes."""
        tensors = {"weights": self.weights, "bias": self.bias}
        if self.output is not None:
            tensors["output"] = self.output
        plain = self.output is None and not self.longest
        head: dict[str, Any] = {
            "format": FORMAT if plain else FORMAT_2,
            "labels": self.labels,
            "order": self.order,
            "temperature": self.temperature,
            "card": self.card,
        }
        if not plain:
            head["characters"] = [self.shortest, self.longest]
        head["sha256"] = _checksum(head, *tensors.values())
        # one entry: safetensors writes several in random order
        return bytes(_safetensors().save(tensors, {"corpusmill": json.dumps(head, sort_keys=True)}))

    def save(self, path: str) -> None:
        """Write the scorer as one file."""
        write_atomic(path, self.packed(), fsync=True)


def _checksum(head: dict[str, Any], *arrays: np.ndarray) -> str:
    """SHA-256 of a scorer's card and weights, in hexadecimal digits."""
    digest = hashlib.sha256(json.dumps({k: v for k, v in head.items() if k != "sha256"}, sort_keys=True).encode())
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities float64 [n, labels] of logits."""
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def log_odds(logits: np.ndarray, label: int) -> np.ndarray:
    """log p - log(1 - p) of a label, float64 [n]. It tells documents apart whose probability is 1."""
    others = np.delete(logits, label, axis=1)
    return np.asarray(logits[:, label] - np.logaddexp.reduce(others, axis=1))


def open_scorer(path: str) -> Scorer:
    """Read a scorer's file, or the one in a scorer's folder.

    Raises:
        BadFileError: there is no such file, or it is damaged, or no scorer.
    """
    if path.endswith("/") or storage.is_dir(path):
        path = storage.join(path, FILE)
    try:
        data = storage.read_bytes(path)
    except OSError as error:
        raise BadFileError(path, f"no readable scorer ({error.strerror})", ADVICE) from None
    return unpacked(data, path)


ADVICE = "name a file that `corpusmill scorer train` wrote"


def unpacked(data: bytes, path: str) -> Scorer:
    """What `Scorer.packed` wrote. path: for errors.

    Raises:
        BadFileError: the bytes are damaged, or no scorer.
    """
    library = _safetensors()
    try:
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size]) if 2 <= size <= len(data) - 8 else {}
        head = json.loads(header.get("__metadata__", {}).get("corpusmill", "{}"))
        if head.get("format") not in (FORMAT, FORMAT_2):
            raise BadFileError(path, "no scorer", ADVICE)
        tensors = library.load(data)
        weights, bias, output = tensors["weights"], tensors["bias"], tensors.get("output")
        labels = tuple(head["labels"])
        order, temperature = int(head["order"]), float(head["temperature"])
        card, (shortest, longest) = head["card"], head.get("characters", (0, 0))
    except BadFileError:
        raise
    except Exception as error:  # safetensors raises exceptions of its own, of no public type
        raise BadFileError(path, f"no readable scorer ({error})", ADVICE) from None
    width = len(labels) if output is None else len(output)
    shapes = weights.ndim == 2 and weights.shape[1] == width and bias.shape == (len(labels),) and len(weights) > 0
    shapes &= output is None or output.shape == (width, len(labels))
    arrays = [weights, bias] + ([] if output is None else [output])
    if not shapes or not (all(np.isfinite(a).all() for a in arrays) and temperature > 0):
        raise BadFileError(path, "a damaged scorer: its weights do not fit its labels, or are no numbers", ADVICE)
    # scorers of older versions have no checksum
    said = head.pop("sha256", None)
    if said is not None and said != _checksum(head, *arrays):
        raise BadFileError(path, "a damaged scorer: it is not what was written", "train it again, or restore a copy")
    weights = np.ascontiguousarray(weights, np.float32)
    return Scorer(
        labels, weights, bias.astype(np.float64), order, temperature, card, int(shortest), int(longest), output
    )


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise MissingDependencyError(
            "scorers are safetensors files. To go on: pip install 'corpusmill[scorer]'."
        ) from None
    return safetensors.numpy
