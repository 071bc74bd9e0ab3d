"""Words that tell clusters apart: class-based tf-idf.

    weight of word w in cluster c = n_wc / n_c * log(1 + A / n_w)

n_wc: how often w occurs in c; n_c: words of c; n_w: how often w occurs in all; A: mean number of words of a cluster.
Source: Grootendorst 2022, "BERTopic: neural topic modeling with a class-based TF-IDF procedure", arXiv 2203.05794.
A text counts a word once, so that one long list does not name a cluster. Scripts without spaces count pairs of characters.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np

_ALONE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U000323af"
_WORD = re.compile(rf"[{_ALONE}]+|(?:(?![{_ALONE}_\d])\w){{3,30}}")
_PAIRED = re.compile(rf"[{_ALONE}]")


def words_of(text: str) -> set[str]:
    """The distinct words of a text, in lower case.

    >>> sorted(words_of("The cat, 12 cats: 机器学习"))
    ['cat', 'cats', 'the', '器学', '学习', '机器']
    """
    found: set[str] = set()
    for run in _WORD.findall(unicodedata.normalize("NFC", text.lower())):
        if _PAIRED.match(run):
            found.update(run[i : i + 2] for i in range(max(1, len(run) - 1)))
        else:
            found.add(run)
    return found


def keywords(texts: Sequence[str], which: np.ndarray, clusters: int, count: int = 5) -> list[list[str]]:
    """The `count` words of most weight of each cluster; of equal ones the first in the alphabet.

    Args:
        texts: the documents.
        which: int [n], the cluster of each; below 0 for none.
        clusters: how many there are.
        count: words a cluster.
    """
    inside: list[Counter[str]] = [Counter() for _ in range(clusters)]
    for text, cluster in zip(texts, which.tolist(), strict=True):
        if cluster >= 0:
            inside[cluster].update(words_of(text))
    every: Counter[str] = Counter()
    for counts in inside:
        every.update(counts)
    mean = sum(every.values()) / max(1, sum(1 for c in inside if c))
    found = []
    for counts in inside:
        total = max(1, sum(counts.values()))
        least = 2 if total > 50 else 1  # what one text alone says names no cluster
        weights = {w: n / total * math.log1p(mean / every[w]) for w, n in counts.items() if n >= least}
        found.append([w for w, _ in sorted(weights.items(), key=lambda item: (-item[1], item[0]))[:count]])
    return found
