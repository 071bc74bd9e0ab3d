"""The probabilities that a fastText model gives: softmax, hierarchical softmax, or one label against all."""

from __future__ import annotations

import functools

import numpy as np
import pyarrow as pa

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.select._features import project
from corpusmill.transforms.select._linear import log_odds, softmax
from corpusmill.transforms.select.fasttext.features import LABEL, mean_rows
from corpusmill.transforms.select.fasttext.file import STRIPE, Contents, read

DIRECT = 16
"""With so many labels at most, each row's logits are kept instead of its vector: a text is then scored without vectors."""


class FastText:
    """A supervised model of fastText.

    labels: without `__label__`, in the order of the output matrix. The probabilities are fastText's, up to the rounding of sums:
    `ova` and `ns` models give one of each label, which do not sum to 1.
    """

    def __init__(self, contents: Contents) -> None:
        self.contents = contents
        self.labels = tuple(contents.words.labels())

    @functools.cached_property
    def _table(self) -> tuple[np.ndarray, bool]:
        """(rows whose mean is taken, whether that mean is the logits already)."""
        c = self.contents
        if len(c.output) > min(DIRECT, c.table.shape[1]):
            return np.require(c.table, requirements="A"), False
        out = np.zeros((len(c.table), len(c.output)), np.float32)
        for start in range(0, len(c.table), STRIPE):
            part = c.table[start : start + STRIPE].astype(np.float64)
            for k, row in enumerate(c.output.astype(np.float64)):
                out[start : start + len(part), k] = np.einsum(
                    "ij,j->i", part, row
                )  # no BLAS: its sums have no fixed order
        return out, True

    def logits(self, texts: pa.Array) -> np.ndarray:
        """The products of each text's vector with the rows of the output matrix: float64 [n, labels]."""
        c, words = self.contents, self.contents.words
        offsets, data = string_buffers(texts.fill_null(""))
        longest = int(np.diff(offsets).max(initial=0)) + 2
        runs = 3 * max(0, c.longest - c.shortest + 1) if c.longest else 0
        table, direct = self._table
        out = np.empty((len(texts), table.shape[1]), np.float64)
        mean_rows(
            offsets, data, LABEL, words.names, words.starts, words.ends, words.index, words.number, c.buckets, c.order, c.shortest,
            c.longest, words.pruned, longest * (c.order + runs) + 1, table, out,
        )  # fmt: skip
        if direct:
            return out
        return project(out, np.require(c.output.T, requirements=["C", "A"]), np.zeros(len(c.output)))

    def probabilities(self, texts: pa.Array) -> np.ndarray:
        """Probability of each label: float64 [n, labels]."""
        logits = self.logits(texts)
        if self.contents.loss == "softmax":
            return softmax(logits)
        turns = np.asarray(1 / (1 + np.exp(-np.clip(logits, -700, 700))))
        return self._leaves(turns) if self.contents.loss == "hs" else turns

    def scored(self, texts: pa.Array, label: int) -> tuple[np.ndarray, np.ndarray]:
        """(probability of a label, its log odds), float64 [n] each."""
        if self.contents.loss == "hs":
            chance = self.probabilities(texts)[:, label]
            return chance, np.log(chance + 1e-300) - np.log1p(-np.minimum(chance, 1 - 1e-16))
        logits = self.logits(texts)
        if self.contents.loss == "softmax":
            return softmax(logits)[:, label], log_odds(logits, label)
        return 1 / (1 + np.exp(-np.clip(logits[:, label], -700, 700))), logits[:, label]

    def _leaves(self, turns: np.ndarray) -> np.ndarray:
        """Probabilities of the leaves of the tree. turns: chance of the right branch at each inner node, [n, labels]."""
        left, right = self._tree
        labels = len(self.labels)
        at = np.ones((len(turns), 2 * labels - 1))
        for node in range(2 * labels - 2, labels - 1, -1):
            chance = turns[:, node - labels]
            at[:, left[node]], at[:, right[node]] = at[:, node] * (1 - chance), at[:, node] * chance
        return at[:, :labels]

    @functools.cached_property
    def _tree(self) -> tuple[np.ndarray, np.ndarray]:
        """(left, right) child of each node of the Huffman tree of the labels' counts; leaves come first."""
        words = self.contents.words
        labels = len(self.labels)
        # fastText's own sentinel for nodes that are not made yet
        counts = np.full(2 * labels - 1, 10**15, np.int64)
        counts[:labels] = words.counts[words.number :]
        left, right = (np.full(2 * labels - 1, -1, np.int64) for _ in range(2))
        leaf, inner = labels - 1, labels
        for node in range(labels, 2 * labels - 1):
            chosen = []
            for _ in range(2):
                if leaf >= 0 and counts[leaf] < counts[inner]:
                    chosen.append(leaf)
                    leaf -= 1
                else:
                    chosen.append(inner)
                    inner += 1
            left[node], right[node] = chosen
            counts[node] = counts[chosen[0]] + counts[chosen[1]]
        return left, right


def open_fasttext(path: str) -> FastText:
    """The model in a file.

    Raises:
        BadFileError: the file is damaged, truncated, or holds no supervised model.
    """
    return FastText(read(path))
