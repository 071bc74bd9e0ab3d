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
_LANES, _CHUNK = 16, 64


@functools.cache
def trees(path: Path | None = None) -> tuple[np.ndarray, ...]:
    """(depths int32 [t], features uint16 [k], thresholds float32 [k], children uint16 [k], leaves float32 [k], highest float32 [t],
    lowest float32 [t]).

    The t roots come first, then the two children of each inner node side by side: `children` names the left one. A leaf leads
    to itself, so that all paths through a tree can be walked equally long; `leaves` is 0 at the other nodes. `highest` and
    `lowest`: the most and the least that the trees behind each can add.
    """
    path = path or WEIGHTS
    with np.load(path) as file:
        if int(file["width"]) != WIDTH:
            raise ValueError(f"{path}: trained on {int(file['width'])} features, and there are {WIDTH}: train anew")
        roots, leaf_roots, children = (file[name].astype(np.int64) for name in ("roots", "leaf_roots", "children"))
        features, thresholds, leaves = (file[name] for name in ("features", "thresholds", "leaves"))
    inner, m, t = len(features), len(leaves), len(roots)
    tree = np.repeat(np.arange(t), np.diff(np.append(roots, inner)))
    # a child is the number of a node within its tree, or -1 - the number of a leaf within its tree
    down = np.where(children >= 0, roots[tree][:, None] + children, inner + leaf_roots[tree][:, None] - 1 - children)
    first = np.where(np.diff(np.append(roots, inner)) > 0, roots, inner + leaf_roots)
    old = np.concatenate(
        [first, down.ravel()]
    )  # the nodes in their new order: inner ones by number, leaves behind them
    if len(old) > np.iinfo(np.uint16).max:
        raise ValueError(
            f"{path}: {len(old)} nodes, and at most {np.iinfo(np.uint16).max} can be numbered: grow fewer trees"
        )
    leaf = old >= inner
    at = np.where(leaf, 0, old)
    bounds = [np.array([f(leaves[a:b]) for a, b in zip(leaf_roots, [*leaf_roots[1:], m])]) for f in (np.max, np.min)]
    highest, lowest = (np.append(np.cumsum(bound[::-1])[::-1][1:], 0).astype(np.float32) for bound in bounds)
    lead = np.where(leaf, np.arange(len(old)), t + 2 * at)
    return (
        _depths(t, lead, leaf),
        np.where(leaf, 0, features[at]).astype(np.uint16),
        np.where(leaf, np.inf, thresholds[at]).astype(np.float32),
        lead.astype(np.uint16),
        np.where(leaf, leaves[np.where(leaf, old - inner, 0)], 0).astype(np.float32),
        highest,
        lowest,
    )


def _depths(t: int, children: np.ndarray, leaf: np.ndarray) -> np.ndarray:
    """int32 [t]: how many steps lead from each root to its deepest leaf."""
    out = np.zeros(t, np.int32)
    nodes, tree = np.arange(t), np.arange(t)
    while len(nodes):
        inner = ~leaf[nodes]
        left, tree = children[nodes[inner]], tree[inner]
        out[tree] += np.bincount(tree, minlength=t)[tree] > 0
        nodes, tree = np.concatenate([left, left + 1]), np.concatenate([tree, tree])
    return out


def probabilities(features: np.ndarray) -> np.ndarray:
    """float32 [n]: the probability that a block is main content."""
    return (1 / (1 + np.exp(-_sums(features.reshape(-1), features.shape[1], *trees(), np.nan)))).astype(np.float32)


def kept(features: np.ndarray, threshold: float) -> np.ndarray:
    """bool [n]: the blocks whose probability is above `threshold`. Trees that can change no answer are not walked."""
    cutoff = math.log(threshold / (1 - threshold))
    return _sums(features.reshape(-1), features.shape[1], *trees(), cutoff) > cutoff


@njit(nogil=True, cache=True)
def _sums(
    flat: Any,
    columns: int,
    depths: Any,
    features: Any,
    thresholds: Any,
    children: Any,
    leaves: Any,
    highest: Any,
    lowest: Any,
    cutoff: float,
) -> Any:
    """float32 [n]: the sums of the leaves of all trees, or part sums that are on the same side of `cutoff`.

    flat: n rows of `columns` features each; a kernel with `reshape` would have no object file.
    """
    # numbers without a sign: numba need not ask whether an index counts from the end, which halves the time
    width = np.uint64(columns)
    rows = len(flat) // columns
    out = np.zeros(rows, np.float32)
    at = np.zeros(_LANES, np.uint64)
    row, base = (
        np.zeros(_CHUNK, np.uint64),
        np.zeros(_CHUNK, np.uint64),
    )  # the blocks whose answer is open, and their numbers
    for chunk in range(0, rows, _CHUNK):
        many = min(_CHUNK, rows - chunk)
        for j in range(many):
            row[j] = chunk + j
            base[j] = np.uint64(chunk + j) * width
        for t in range(len(depths)):
            # a little room, for sums are rounded
            low, high = cutoff - 1e-3 - highest[t], cutoff + 1e-3 - lowest[t]
            left = 0
            for begin in range(0, many, _LANES):
                lanes = min(_LANES, many - begin)
                for j in range(lanes):
                    at[j] = t
                # some blocks in step: their loads from memory overlap
                for _ in range(depths[t]):
                    for j in range(lanes):
                        node = at[j]
                        value = flat[base[begin + j] + np.uint64(features[node])]
                        at[j] = np.uint64(children[node]) + np.uint64(value > thresholds[node])
                for j in range(lanes):
                    r = row[begin + j]
                    total = out[r] + leaves[at[j]]
                    out[r] = total
                    if not (total < low or total > high):
                        row[left], base[left] = r, base[begin + j]
                        left += 1
            many = left
            if many == 0:
                break
    return out
