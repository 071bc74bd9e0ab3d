"""The block classifier: boosted trees that tell main content from the rest, shipped as arrays.

`tests/benchmarks/extract_train.py` trains them; the file holds no text of any page.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.web.features import WIDTH

WEIGHTS = Path(__file__).with_name("blocks.npz")


@functools.cache
def trees(path: Path = WEIGHTS) -> tuple[np.ndarray, ...]:
    """(roots int32 [t], features int16 [k], thresholds float32 [k], children int16 [k, 2], leaves float32 [l]).

    A child is the number of a node within its tree, or -1 - the number of a leaf within its tree; `roots` and the last
    array, leaf_roots int32 [t], say where each tree begins.
    """
    with np.load(path) as file:
        if int(file["width"]) != WIDTH:
            raise ValueError(f"{path}: trained on {int(file['width'])} features, and there are {WIDTH}: train anew")
        return tuple(file[name] for name in ("roots", "features", "thresholds", "children", "leaves", "leaf_roots"))


def probabilities(features: np.ndarray) -> np.ndarray:
    """float32 [n]: the probability that a block is main content."""
    return _probabilities(features, *trees())


@njit(nogil=True, cache=True)
def _probabilities(
    x: Any, roots: Any, features: Any, thresholds: Any, children: Any, leaves: Any, leaf_roots: Any
) -> Any:
    out = np.empty(len(x), np.float32)
    for b in range(len(x)):
        row = x[b]
        total = np.float32(0)
        for t in range(len(roots)):
            root = roots[t]
            node: Any = np.int64(0)
            while node >= 0:
                at = root + node
                node = np.int64(children[at, np.int64(row[features[at]] > thresholds[at])])
            total += leaves[leaf_roots[t] - 1 - node]
        out[b] = 1.0 / (1.0 + np.exp(-total))
    return out
