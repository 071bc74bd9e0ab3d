"""A linear text classifier over hashed word n-grams: training, probabilities, and its file.

A document is the mean of its n-grams, as in fastText (Joulin et al. 2016, "Bag of tricks for efficient text
classification"), whose averaged embedding followed by a linear layer is a linear function of that mean. The weights are
trained by AdaGrad (Duchi et al. 2011) on the cross-entropy, one document at a time in an order that follows from the texts,
so that equal documents give an equal model.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.errors import BadFileError, MissingDependencyError
from corpusmill.transforms.hashing import hash64, mix64_array
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.normal_forms import normalize
from corpusmill.transforms.select._ngrams import bucket_of
from corpusmill.transforms.storage.local import write_atomic
from corpusmill.transforms.unicode import tables
from corpusmill.transforms.words import hash_words, scratch

FORMAT = "corpusmill scorer 1"


@njit(inline="always")
def _logits(words: Any, n: int, order: int, weights: Any, bias: Any, slots: Any, out: Any) -> int:
    """The logits of words[:n] to `out` [labels], and the buckets of its n-grams to `slots`; how many."""
    count = 0
    for k in range(len(bias)):
        out[k] = 0.0
    for length in range(1, order + 1):
        for start in range(n - length + 1):
            at = bucket_of(words, start, length, len(weights))
            slots[count] = at
            count += 1
            for k in range(len(bias)):
                out[k] += weights[at, k]
    for k in range(len(bias)):
        out[k] = bias[k] + out[k] / max(count, 1)
    return count


@njit(inline="always")
def _softmax(values: Any) -> None:
    # no `values.max()`: numba would call a helper of its own, which an object file cannot hold
    top = values[0]
    for k in range(1, len(values)):
        top = max(top, values[k])
    total = 0.0
    for k in range(len(values)):
        values[k] = np.exp(values[k] - top)
        total += values[k]
    for k in range(len(values)):
        values[k] /= total


@njit(nogil=True, cache=True)
def _train(
    offsets: Any,
    data: Any,
    flags: Any,
    lower: Any,
    order: int,
    rows: Any,
    labels: Any,
    shares: Any,
    rate: float,
    weights: Any,
    bias: Any,
    squares: Any,
) -> None:
    """One pass of AdaGrad over the documents `rows`. shares: the weight of each label's documents in the loss."""
    folded, edges, words = scratch(offsets)
    slots = np.empty(order * len(words) + 1, np.int64)
    p = np.empty(len(bias), np.float64)
    for row in rows:
        n = hash_words(data, offsets[row], offsets[row + 1], flags, lower, folded, edges, words)
        count = _logits(words, n, order, weights, bias, slots, p)
        _softmax(p)
        label = labels[row]
        for k in range(len(bias)):
            gradient = (p[k] - (1.0 if k == label else 0.0)) * shares[label]
            bias[k] -= 0.1 * rate * gradient
            step = gradient / max(count, 1)
            for i in range(count):
                at = slots[i]
                squares[at, k] += step * step
                weights[at, k] -= rate * step / np.sqrt(squares[at, k] + 1e-12)


@njit(nogil=True, cache=True)
def _predict(offsets: Any, data: Any, flags: Any, lower: Any, order: int, weights: Any, bias: Any, out: Any) -> None:
    folded, edges, words = scratch(offsets)
    slots = np.empty(order * len(words) + 1, np.int64)
    for row in range(len(offsets) - 1):
        n = hash_words(data, offsets[row], offsets[row + 1], flags, lower, folded, edges, words)
        _logits(words, n, order, weights, bias, slots, out[row])


@dataclass(frozen=True)
class Scorer:
    """A trained classifier.

    labels: names of the classes; weights: float32 [buckets, labels]; bias: float64 [labels]; order: longest n-gram in words;
    temperature: by which logits are divided, so that probabilities agree with how often they are right on held-out
    documents; card: what it was trained on and how good it is, JSON-able.
    """

    labels: tuple[str, ...]
    weights: np.ndarray
    bias: np.ndarray
    order: int
    temperature: float = 1.0
    card: dict[str, Any] = field(default_factory=dict)

    def logits(self, texts: pa.Array) -> np.ndarray:
        """float64 [n, labels]. Null and wordless texts get the bias."""
        offsets, data = string_buffers(normalize(texts.fill_null(""), "NFC"))
        out = np.empty((len(texts), len(self.labels)), np.float64)
        _predict(offsets, data, *tables(), self.order, self.weights, self.bias, out)
        return out

    def probabilities(self, texts: pa.Array) -> np.ndarray:
        """Calibrated probability of each label: float64 [n, labels], rows sum to 1."""
        return softmax(self.logits(texts) / self.temperature)

    def save(self, path: str) -> None:
        """Write the scorer as one safetensors file, its card in the header."""
        head = {
            "format": FORMAT,
            "labels": self.labels,
            "order": self.order,
            "temperature": self.temperature,
            "card": self.card,
        }
        head["sha256"] = _checksum(head, self.weights, self.bias)
        # one entry: safetensors writes several in random order, and equal scorers are equal files
        header = {"corpusmill": json.dumps(head, sort_keys=True)}
        tensors = _safetensors().save({"weights": self.weights, "bias": self.bias}, header)
        write_atomic(path, tensors, fsync=True)


def _checksum(head: dict[str, Any], weights: np.ndarray, bias: np.ndarray) -> str:
    """SHA-256 of a scorer's card and weights, in hexadecimal digits."""
    digest = hashlib.sha256(json.dumps({k: v for k, v in head.items() if k != "sha256"}, sort_keys=True).encode())
    for array in (weights, bias):
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities float64 [n, labels] of logits."""
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def open_scorer(path: str) -> Scorer:
    """Read a scorer's file.

    Raises:
        BadFileError: the file is damaged, or is no scorer.
    """
    _safetensors()
    from safetensors import safe_open

    advice = "name a file that `corpusmill scorer train` wrote"
    try:
        with safe_open(path, framework="numpy") as f:
            head = json.loads((f.metadata() or {}).get("corpusmill", "{}"))
            if head.get("format") != FORMAT:
                raise BadFileError(path, "no scorer", advice)
            weights, bias = f.get_tensor("weights"), f.get_tensor("bias")
        labels = tuple(head["labels"])
        order, temperature = int(head["order"]), float(head["temperature"])
        card = head["card"]
    except BadFileError:
        raise
    except Exception as error:  # safetensors raises exceptions of its own, of no public type
        raise BadFileError(path, f"no readable scorer ({error})", advice) from None
    shapes = weights.ndim == 2 and weights.shape[1] == len(labels) and bias.shape == (len(labels),)
    if not shapes or not (np.isfinite(weights).all() and np.isfinite(bias).all() and temperature > 0):
        raise BadFileError(path, "a damaged scorer: its weights do not fit its labels, or are no numbers", advice)
    # scorers of older versions have no checksum
    said = head.pop("sha256", None)
    if said is not None and said != _checksum(head, weights, bias):
        raise BadFileError(path, "a damaged scorer: it is not what was written", "train it again, or restore a copy")
    return Scorer(labels, np.ascontiguousarray(weights, np.float32), bias.astype(np.float64), order, temperature, card)


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise MissingDependencyError(
            "scorers are safetensors files. To go on: pip install 'corpusmill[scorer]'."
        ) from None
    return safetensors.numpy


def held_out(texts: pa.Array) -> np.ndarray:
    """bool [n]: a tenth of the documents, by a hash of their text. Equal texts fall on one side."""
    return np.asarray(hash64(texts.fill_null("")) % np.uint64(10) == 0)


def train(texts: pa.Array, labels: np.ndarray, names: tuple[str, ...], order: int, buckets: int, epochs: int) -> Scorer:
    """Train on documents of known labels, and calibrate on the tenth of them that is held out.

    Args:
        texts: string [n].
        labels: int64 [n], indexes into `names`; each label needs documents on both sides of `held_out`.
        names: names of the labels.
        order: longest n-gram in words.
        buckets: hash buckets for n-grams.
        epochs: passes over the documents.
    """
    hashes, held = hash64(texts.fill_null("")), held_out(texts)
    offsets, data = string_buffers(normalize(texts.fill_null(""), "NFC"))
    counts = np.bincount(labels[~held], minlength=len(names))
    shares = counts.sum() / (len(names) * np.maximum(counts, 1))
    weights = np.zeros((buckets, len(names)), np.float32)
    squares, bias = np.zeros((buckets, len(names)), np.float32), np.zeros(len(names), np.float64)
    order_of = np.flatnonzero(~held)
    # by content, so that the order of files does not matter; equal texts with other labels by label
    order_of = order_of[np.lexsort((labels[order_of], hashes[order_of]))]
    for epoch in range(epochs):
        draws = mix64_array(hashes[order_of] ^ mix64_array(np.array([epoch], np.uint64)))
        rows = order_of[np.argsort(draws, kind="stable")]
        rate = 0.5 * (1 - epoch / epochs)
        _train(offsets, data, *tables(), order, rows, labels, shares, rate, weights, bias, squares)
    scorer = Scorer(names, weights, bias, order)
    logits = scorer.logits(texts.filter(pa.array(held)))
    return Scorer(names, weights, bias, order, calibrated(logits, labels[held]))


def calibrated(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the least cross-entropy on documents of known labels (Guo et al. 2017); 1 without documents."""
    if not len(labels):
        return 1.0
    tried = np.exp(np.linspace(np.log(0.02), np.log(20), 200))
    losses = [-np.log(softmax(logits / t)[np.arange(len(labels)), labels] + 1e-300).mean() for t in tried]
    return float(tried[int(np.argmin(losses))])
