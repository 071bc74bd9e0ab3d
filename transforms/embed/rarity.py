"""How rare the words of a cluster are in the whole corpus.

    rarity(c) = sum over the words w of c's documents of log2(1 / q(w)) / their number,   q(w) = (n_w + 1/2) / (n + B/2)

n_w counts word w in the sample, hashed into B buckets, and n all words. It is the cross-entropy of the cluster's words under the
unigram distribution of the corpus (Manning and Schuetze 1999, section 2.2). A topic that fills the corpus makes its words
frequent, in however many clusters it is cut; so its clusters have a low rarity, and those of small topics a high one.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from corpusmill.transforms.embed.kmeans import nearest
from corpusmill.transforms.select._ngrams import ngram_counts, ngram_sums

BUCKETS = 1 << 16
STEPS = 256
"""Parts of a bit to which a word's cost is rounded, so that sums are exact in any order."""


def places(vectors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The cluster of each vector, the nearest: int64 [n]; -1 for a text without words, and where there is no cluster.

    Args:
        vectors: int8 [n, d].
        centres: int8 [k, d].
    """
    which, used = np.full(len(vectors), -1, np.int64), vectors.any(axis=1)
    if len(centres):
        which[used] = nearest(vectors[used], centres)[0][:, 0]
    return which


def rarity(texts: pa.Array, which: np.ndarray, k: int) -> np.ndarray:
    """Bits a word of each cluster: float64 [k]; of a cluster without words, those of all texts.

    Args:
        texts: the sample, string [n].
        which: int64 [n], their clusters (`places`).
        k: number of clusters.
    """
    if not k:
        return np.zeros(0)
    counts = ngram_counts(texts, 1, BUCKETS).astype(np.float64)
    bits = np.rint(STEPS * np.log2((counts.sum() + BUCKETS / 2) / (counts + 0.5)))
    sums, words = ngram_sums(texts, 1, bits)
    used = which >= 0
    total = np.bincount(which[used], sums[used], k)
    number = np.bincount(which[used], words[used], k)
    mean = sums.sum() / max(1.0, float(words.sum()))
    return np.where(number > 0, total / np.maximum(number, 1), mean) / STEPS


def sizes_of(which: np.ndarray, k: int) -> np.ndarray:
    """Documents of each cluster: int64 [k]; those without words are in none."""
    return np.bincount(which[which >= 0], minlength=k)


def lacks(sizes: np.ndarray) -> np.ndarray:
    """How many documents each cluster lacks for the mean size, for each that it has: float64 [k].

    >>> lacks(np.array([30, 10, 20])).tolist()
    [0.0, 1.0, 0.0]
    """
    used = sizes > 0
    mean = sizes[used].mean() if used.any() else 0.0
    found: np.ndarray = np.where(used, np.maximum(0.0, mean / np.maximum(sizes, 1) - 1.0), 0.0)
    return found
