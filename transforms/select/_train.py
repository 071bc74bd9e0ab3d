"""Trains text classifiers on labelled documents, and calibrates them on those held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from corpusmill.transforms.hashing import hash64, mix64_array
from corpusmill.transforms.select._features import Bags, Grams, bags
from corpusmill.transforms.select._learn import embedding_pass, linear_pass, pairs_pass
from corpusmill.transforms.select._linear import Scorer, softmax

LIKE, UNLIKE = "like", "unlike"
"""Labels of documents that a scorer shall find, and of others."""


@dataclass(frozen=True)
class Training:
    """How a scorer is trained. grams: what is counted; epochs: passes over the documents; dims: width of the averaged
    embeddings, 0 for the linear form."""

    grams: Grams
    epochs: int = 5
    dims: int = 0


def held_out(texts: pa.Array) -> np.ndarray:
    """bool [n]: a tenth of the documents, by a hash of their text. Equal texts fall on one side."""
    return held_out_by(hash64(texts.fill_null("")))


def held_out_by(hashes: np.ndarray) -> np.ndarray:
    """As `held_out`, of the hashes of texts, uint64 [n]."""
    return np.asarray(hashes % np.uint64(10) == 0)


def train(
    texts: pa.Array,
    labels: np.ndarray,
    names: tuple[str, ...],
    order: int,
    buckets: int,
    epochs: int,
    characters: tuple[int, int] = (0, 0),
    dims: int = 0,
) -> Scorer:
    """Train on documents of known labels, and calibrate on the tenth of them that is held out.

    Args:
        texts: string [n].
        labels: int64 [n], indexes into `names`; each label needs documents on both sides of `held_out`.
        names: names of the labels.
        order: longest n-gram in words.
        buckets: hash buckets for n-grams.
        epochs: passes over the documents.
        characters: shortest and longest n-gram in characters; zeros for none.
        dims: width of averaged embeddings; 0 for the linear form.
    """
    grams = Grams(order, buckets, *characters)
    return fit(bags(texts, grams), hash64(texts.fill_null("")), labels, names, Training(grams, epochs, dims))


def fit(given: Bags, hashes: np.ndarray, labels: np.ndarray, names: tuple[str, ...], training: Training) -> Scorer:
    """As `train`, of count vectors and the hashes of the texts they are of, uint64 [n]."""
    held = held_out_by(hashes)
    counts = np.bincount(labels[~held], minlength=len(names))
    shares = counts.sum() / (len(names) * np.maximum(counts, 1))
    # by content, so that the order of files does not matter; equal texts with other labels by label
    by_content = np.lexsort((labels, hashes))
    rows, tested = by_content[~held[by_content]], by_content[held[by_content]]
    bias = np.zeros(len(names), np.float64)
    buckets, width = training.grams.buckets, training.dims or len(names)
    weights: np.ndarray = np.zeros((buckets, width), np.float32)
    squares: np.ndarray = np.zeros((buckets, width), np.float32)
    output: np.ndarray | None = None
    if training.dims:
        drawn = mix64_array(np.arange(buckets * width, dtype=np.uint64)) >> np.uint64(40)
        weights = ((drawn.astype(np.float32) / np.float32(1 << 23) - 1) / width).reshape(buckets, width)
        output, output_squares = np.zeros((width, len(names)), np.float32), np.zeros((width, len(names)), np.float32)
        squares = np.zeros(buckets, np.float32)
    data = (given.offsets, given.slots, given.counts)
    for epoch in range(training.epochs):
        order, rate = _drawn(rows, hashes, epoch), 0.5 * (1 - epoch / training.epochs)
        if output is None:
            linear_pass(*data, order, labels, shares, rate, weights, bias, squares)
        else:
            rest = (weights, output, bias, squares, output_squares)
            embedding_pass(*data, order, labels, shares, EMBEDDING_RATE * rate, *rest)
    temperature = calibrated(bias + _logits(given, tested, weights, output), labels[tested])
    grams = training.grams
    return Scorer(names, weights, bias, grams.order, temperature, {}, grams.shortest, grams.longest, output)


def calibrated_logits(scorer: Scorer, given: Bags, rows: np.ndarray) -> np.ndarray:
    """Logits divided by the temperature, float64 [len(rows), labels], of the count vectors `rows`."""
    return (scorer.bias + _logits(given, rows, scorer.weights, scorer.output)) / scorer.temperature


EMBEDDING_RATE = 0.2
"""Rate of the embedding form, as a share of the linear form's: its two layers multiply."""


def fit_pairs(given: Bags, hashes: np.ndarray, first: np.ndarray, second: np.ndarray, training: Training) -> Scorer:
    """A scorer of which the document first[i] has a higher score than second[i], for most pairs.

    The log odds of `like` are a linear function s with P(a is preferred to b) = 1 / (1 + exp(s(b) - s(a))) (Bradley and Terry
    1952), of mean 0 over the documents. A tenth of the pairs, by the first one's hash, is held out, and the temperature is that
    of their margins.
    """
    held = held_out_by(hashes[first])
    pairs = np.flatnonzero(~held)
    pairs = pairs[np.lexsort((hashes[second[pairs]], hashes[first[pairs]]))]
    keys = mix64_array(hashes[first]) ^ hashes[second]
    w, squares = np.zeros(training.grams.buckets, np.float32), np.zeros(training.grams.buckets, np.float32)
    for epoch in range(training.epochs):
        order, rate = _drawn(pairs, keys, epoch), 0.5 * (1 - epoch / training.epochs)
        pairs_pass(given.offsets, given.slots, given.counts, first, second, order, rate, w, squares)
    scores = _logits(given, np.arange(len(given)), w[:, None], None)[:, 0]
    margin = (scores[first] - scores[second])[held]
    temperature = calibrated(np.stack((margin, np.zeros(len(margin))), 1), np.zeros(len(margin), np.int64))
    weights = np.stack((w, np.zeros(len(w), np.float32)), 1)
    mean = float(np.sort(scores).sum() / max(len(scores), 1))  # sorted: the sum must not depend on the order of files
    grams = training.grams
    bias = np.array([-mean, 0.0])
    return Scorer((LIKE, UNLIKE), weights, bias, grams.order, temperature, {}, grams.shortest, grams.longest)


def _drawn(rows: np.ndarray, hashes: np.ndarray, epoch: int) -> np.ndarray:
    """`rows` in the order of an epoch."""
    draws = mix64_array(hashes[rows] ^ mix64_array(np.array([epoch], np.uint64)))
    return rows[np.argsort(draws, kind="stable")]


def _logits(given: Bags, rows: np.ndarray, weights: np.ndarray, output: np.ndarray | None) -> np.ndarray:
    """Logits without the bias, float64 [len(rows), labels], of some count vectors."""
    out = np.zeros((len(rows), weights.shape[1]))
    for i, row in enumerate(rows.tolist()):
        at = slice(given.offsets[row], given.offsets[row + 1])
        counts = given.counts[at].astype(np.float64)
        out[i] = (counts[:, None] * weights[given.slots[at]]).sum(axis=0) / max(counts.sum(), 1)
    return out if output is None else np.asarray((out[:, :, None] * output[None]).sum(axis=1))


def calibrated(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the least cross-entropy on documents of known labels (Guo et al. 2017); 1 without documents."""
    if not len(labels):
        return 1.0
    tried = np.exp(np.linspace(np.log(0.02), np.log(20), 200))
    losses = [-np.log(softmax(logits / t)[np.arange(len(labels)), labels] + 1e-300).mean() for t in tried]
    return float(tried[int(np.argmin(losses))])
