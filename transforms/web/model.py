"""The block classifier: boosted trees that tell main content from the rest, shipped as arrays.

`tests/benchmarks/extract_train.py` trains them; the file holds no text of any page.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

import numpy as np

from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.web.features import WIDTH

WEIGHTS = Path(__file__).with_name("blocks.npz")


@functools.cache
def trees(path: Path | None = None) -> tuple[np.ndarray, ...]:
    """(roots int32 [t], depths int32 [t], features int32 [k], thresholds float32 [k], children int32 [k, 2], leaves float32 [k],
    highest float32 [t], lowest float32 [t]).

    Each leaf is a node that leads to itself, so that all paths through a tree can be walked equally long; `leaves` is 0 at
    the other nodes. `highest` and `lowest`: the most and the least that the trees behind each can add.
    """
    path = path or WEIGHTS
    with np.load(path) as file:
        if int(file["width"]) != WIDTH:
            raise ValueError(f"{path}: trained on {int(file['width'])} features, and there are {WIDTH}: train anew")
        roots, leaf_roots, children = (file[name].astype(np.int64) for name in ("roots", "leaf_roots", "children"))
        features, thresholds, leaves = (file[name] for name in ("features", "thresholds", "leaves"))
    inner, m = len(features), len(leaves)
    tree = np.repeat(np.arange(len(roots)), np.diff(np.append(roots, inner)))
    # a child is the number of a node within its tree, or -1 - the number of a leaf within its tree
    within = roots[tree][:, None] + children
    down = np.where(children >= 0, within, inner + leaf_roots[tree][:, None] - 1 - children)
    whole = np.concatenate([down, np.repeat(np.arange(inner, inner + m), 2).reshape(m, 2)]).astype(np.int32)
    first = np.where(np.diff(np.append(roots, inner)) > 0, roots, inner + leaf_roots)
    bounds = [np.array([f(leaves[a:b]) for a, b in zip(leaf_roots, [*leaf_roots[1:], m])]) for f in (np.max, np.min)]
    highest, lowest = (np.append(np.cumsum(bound[::-1])[::-1][1:], 0).astype(np.float32) for bound in bounds)
    return (
        first.astype(np.int32),
        _depths(first, whole),
        np.concatenate([features, np.zeros(m)]).astype(np.int32),
        np.concatenate([thresholds, np.full(m, np.inf, np.float32)]).astype(np.float32),
        whole,
        np.concatenate([np.zeros(inner), leaves]).astype(np.float32),
        highest,
        lowest,
    )


def _depths(roots: np.ndarray, children: np.ndarray) -> np.ndarray:
    """int32 [t]: how many steps lead from each root to its deepest leaf."""
    out = np.zeros(len(roots), np.int32)
    for t, root in enumerate(roots.tolist()):
        level = np.array([root])
        while (deeper := np.unique(children[level])).tolist() != np.unique(level).tolist():
            level = deeper
            out[t] += 1
    return out


def probabilities(features: np.ndarray) -> np.ndarray:
    """float32 [n]: the probability that a block is main content."""
    return (1 / (1 + np.exp(-_sums(features, *trees(), np.nan)))).astype(np.float32)


def kept(features: np.ndarray, threshold: float) -> np.ndarray:
    """bool [n]: the blocks whose probability is above `threshold`. Trees that can change no answer are not walked."""
    cutoff = math.log(threshold / (1 - threshold))
    return _sums(features, *trees(), cutoff) > cutoff


@njit(nogil=True, cache=True)
def _sums(
    x: Any,
    roots: Any,
    depths: Any,
    features: Any,
    thresholds: Any,
    children: Any,
    leaves: Any,
    highest: Any,
    lowest: Any,
    cutoff: float,
) -> Any:
    """float32 [n]: the sums of the leaves of all trees, or part sums that are on the same side of `cutoff`."""
    out = np.zeros(len(x), np.float32)
    at = np.zeros(16, np.int32)
    for begin in range(0, len(x), 16):
        many = min(16, len(x) - begin)
        for t in range(len(roots)):
            at[:] = roots[t]
            # sixteen blocks in step: their loads from memory overlap
            for _ in range(depths[t]):
                moved = np.int32(0)
                for j in range(many):
                    node = at[j]
                    at[j] = children[node, np.int64(x[begin + j, features[node]] > thresholds[node])]
                    moved |= at[j] ^ node
                if moved == 0:
                    break
            open_ = False
            for j in range(many):
                total = out[begin + j] + leaves[at[j]]
                out[begin + j] = total
                # a little room, for sums are rounded
                open_ |= not (total + highest[t] < cutoff - 1e-3 or total + lowest[t] > cutoff + 1e-3)
            if not open_:
                break
    return out
