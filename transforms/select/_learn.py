"""Training of text classifiers on count vectors: linear, averaged embeddings, and linear from pairs.

All are stochastic descent with AdaGrad (Duchi et al. 2011) on the cross-entropy, one document after the other in an order that
follows from the documents. A document is the mean of its n-grams, as in fastText (Joulin et al. 2016, "Bag of tricks for efficient
text classification").
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.transforms.kernels.njit import njit


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


@njit(inline="always")
def _size(counts: Any, begin: int, end: int) -> float:
    total = 0.0
    for i in range(begin, end):
        total += counts[i]
    return max(total, 1.0)


@njit(nogil=True, cache=True)
def linear_pass(
    offsets: Any,
    slots: Any,
    counts: Any,
    rows: Any,
    labels: Any,
    shares: Any,
    rate: float,
    weights: Any,
    bias: Any,
    squares: Any,
) -> None:
    """One pass over the documents `rows`. weights, squares: float32 [buckets, labels]; shares: weight of each label's loss."""
    p = np.empty(len(bias), np.float64)
    for row in rows:
        begin, end, label = offsets[row], offsets[row + 1], labels[row]
        size = _size(counts, begin, end)
        for k in range(len(bias)):
            p[k] = 0.0
        for i in range(begin, end):
            at = slots[i]
            for k in range(len(bias)):
                p[k] += counts[i] * weights[at, k]
        for k in range(len(bias)):
            p[k] = bias[k] + p[k] / size
        _softmax(p)
        for k in range(len(bias)):
            gradient = (p[k] - (1.0 if k == label else 0.0)) * shares[label]
            bias[k] -= 0.1 * rate * gradient
            for i in range(begin, end):
                at = slots[i]
                step = gradient * counts[i] / size
                squares[at, k] += step * step
                weights[at, k] -= rate * step / np.sqrt(squares[at, k] + 1e-12)


@njit(nogil=True, cache=True)
def embedding_pass(
    offsets: Any,
    slots: Any,
    counts: Any,
    rows: Any,
    labels: Any,
    shares: Any,
    rate: float,
    table: Any,
    output: Any,
    bias: Any,
    table_squares: Any,
    output_squares: Any,
) -> None:
    """One pass of the averaged-embedding form: logits = bias + mean(table rows) @ output.

    table: float32 [buckets, d]; output: float32 [d, labels]; table_squares: float32 [buckets]; output_squares: as output.
    """
    width = table.shape[1]
    p, hidden, back = np.empty(len(bias), np.float64), np.empty(width, np.float64), np.empty(width, np.float64)
    for row in rows:
        begin, end, label = offsets[row], offsets[row + 1], labels[row]
        size = _size(counts, begin, end)
        for j in range(width):
            hidden[j] = 0.0
        for i in range(begin, end):
            at = slots[i]
            for j in range(width):
                hidden[j] += counts[i] * table[at, j]
        for k in range(len(bias)):
            p[k] = bias[k]
        for j in range(width):
            hidden[j] /= size
            for k in range(len(bias)):
                p[k] += hidden[j] * output[j, k]
        _softmax(p)
        norm = 0.0
        for k in range(len(bias)):
            p[k] = (p[k] - (1.0 if k == label else 0.0)) * shares[label]
            bias[k] -= 0.1 * rate * p[k]
        for j in range(width):
            back[j] = 0.0
            for k in range(len(bias)):
                back[j] += output[j, k] * p[k]
            norm += back[j] * back[j]
            for k in range(len(bias)):
                step = hidden[j] * p[k]
                output_squares[j, k] += step * step
                output[j, k] -= rate * step / np.sqrt(output_squares[j, k] + 1e-12)
        norm /= width
        for i in range(begin, end):
            at = slots[i]
            share = counts[i] / size
            table_squares[at] += share * share * norm
            step = rate * share / np.sqrt(table_squares[at] + 1e-12)
            for j in range(width):
                table[at, j] -= step * back[j]


@njit(nogil=True, cache=True)
def pairs_pass(
    offsets: Any, slots: Any, counts: Any, first: Any, second: Any, order: Any, rate: float, weights: Any, squares: Any
) -> None:
    """One pass over pairs: document first[i] is preferred to second[i] (Bradley and Terry 1952).

    weights, squares: float32 [buckets].
    """
    for pair in order:
        margin = 0.0
        for side in range(2):
            row = first[pair] if side == 0 else second[pair]
            sign = 1.0 if side == 0 else -1.0
            begin, end = offsets[row], offsets[row + 1]
            size = _size(counts, begin, end)
            for i in range(begin, end):
                margin += sign * counts[i] * weights[slots[i]] / size
        gradient = -1.0 / (1.0 + np.exp(min(margin, 700.0)))
        for side in range(2):
            row = first[pair] if side == 0 else second[pair]
            sign = 1.0 if side == 0 else -1.0
            begin, end = offsets[row], offsets[row + 1]
            size = _size(counts, begin, end)
            for i in range(begin, end):
                at = slots[i]
                step = sign * gradient * counts[i] / size
                squares[at] += step * step
                weights[at] -= rate * step / np.sqrt(squares[at] + 1e-12)
