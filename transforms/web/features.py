"""Numbers that tell main content from the rest of a page: one row a block."""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.web import tags
from corpusmill.transforms.web.blocks import Blocks

_OWN = 22  # numbers of the block itself, which those of its neighbours repeat
_LEVELS = 5  # ancestors that are looked at
_PER_LEVEL = 7
_AROUND = (-3, -2, -1, 1, 2, 3)
_SHARED = 13
_TERM, _PRE = tags.NAMES.index("dt"), tags.PRE
_ANCESTORS, _WORDS = len(tags.ANCESTORS), len(tags.WORDS)
_MASKS = _ANCESTORS + 2 * _WORDS
WIDTH = _OWN + _SHARED + _LEVELS * _PER_LEVEL + len(_AROUND) * 8 + _MASKS
"""Features of a block."""


def features(blocks: Blocks, title: str) -> np.ndarray:
    """float32 [n, WIDTH]. `title` is the page's: a heading that repeats it is where the main content often begins."""
    words = np.frombuffer(title.lower().encode()[:400], np.uint8)
    kinds = tags.tables()[1]
    hashes, shapes = _hashes(blocks.text, blocks.values, blocks.own, blocks.parents, blocks.kinds)
    repeats, alike = _equal(hashes), _equal(shapes)
    tree = blocks.parents, blocks.kinds
    return _features(blocks.text, blocks.values, blocks.words, blocks.own, *tree, shapes, repeats, alike, kinds, words)


@njit(nogil=True, cache=True)
def _ratio(a: Any, b: Any) -> float:
    return a / b if b > 0 else 0.0


@njit(nogil=True, cache=True)
def _hashes(text: Any, values: Any, own: Any, parents: Any, element_tags: Any) -> Any:
    """(uint64 [n] of each block's text, uint64 [n] of its path of tags)."""
    n = len(values)
    hashes = np.zeros(n, np.uint64)
    shapes = np.zeros(n, np.uint64)
    for b in range(n):
        e = values[b, 3]
        h = np.uint64(14695981039346656037)
        for i in range(values[b, 0], values[b, 1]):
            h = (h ^ np.uint64(text[i])) * np.uint64(1099511628211)
        hashes[b] = h
        # the path of tags of the innermost elements, with the words of their class names
        h = own[b]
        for _ in range(6):
            h = (h ^ np.uint64(element_tags[e] + 2)) * np.uint64(1099511628211)
            e = parents[e]
        shapes[b] = h
    return hashes, shapes


@njit(nogil=True, cache=True)
def _equal(keys: Any) -> Any:
    """int64 [n]: how many keys equal each key."""
    size = 16
    while size < 2 * len(keys):
        size *= 2
    slots = np.full(size, -1, np.int64)  # the first row of each key
    first = np.zeros(len(keys), np.int64)
    counts = np.zeros(len(keys), np.int64)
    for b in range(len(keys)):
        slot = np.int64((keys[b] * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & (size - 1)
        while slots[slot] >= 0 and keys[slots[slot]] != keys[b]:
            slot = (slot + 1) & (size - 1)
        if slots[slot] < 0:
            slots[slot] = b
        first[b] = slots[slot]
        counts[first[b]] += 1
    for b in range(len(keys)):
        first[b] = counts[first[b]]
    return first


@njit(nogil=True, cache=True)
def _features(
    text: Any,
    values: Any,
    words: Any,
    own: Any,
    parents: Any,
    element_tags: Any,
    shapes: Any,
    repeats: Any,
    alike: Any,
    kinds: Any,
    title: Any,
) -> Any:
    n, elements = len(values), len(parents)
    out = np.zeros((n, WIDTH), np.float32)
    # sums over each element: bytes, linked bytes, words, stops, blocks, bytes of paragraphs, longest block
    sums = np.zeros((elements, 7), np.float64)
    for b in range(n):
        e = values[b, 3]
        size = values[b, 1] - values[b, 0]
        sums[e, 0] += size
        sums[e, 1] += values[b, 5]
        sums[e, 2] += values[b, 6]
        sums[e, 3] += values[b, 7]
        sums[e, 4] += 1
        if values[b, 7] > 0 and size > 40 and 2 * values[b, 5] < size:
            sums[e, 5] += size
        sums[e, 6] = max(sums[e, 6], size)
    for e in range(elements - 1, 0, -1):
        p = parents[e]
        for c in range(6):
            sums[p, c] += sums[e, c]
        sums[p, 6] = max(sums[p, 6], sums[e, 6])
    total = sums[0]
    # logarithms of bytes of each block, and of bytes and blocks of each element
    sizes = np.log1p((values[:, 1] - values[:, 0]).astype(np.float64))
    logs = np.zeros((elements, 2), np.float64)
    for e in range(elements):
        logs[e, 0] = np.log1p(sums[e, 0])
        logs[e, 1] = np.log1p(sums[e, 4])
    # what manuals have much of: code, terms that are defined, headings
    code: Any = 0.0
    terms: Any = 0
    headings: Any = 0
    for b in range(n):
        kind = kinds[values[b, 2]] if values[b, 2] >= 0 else 0
        if kind & _PRE:
            code += values[b, 1] - values[b, 0]
        terms += values[b, 2] == _TERM
        headings += values[b, 13] > 1
    at_title: Any = -1
    at_heading: Any = -1
    for b in range(n):
        if at_heading < 0 and values[b, 13] == 1:
            at_heading = b
        if (
            at_title < 0
            and len(title) > 8
            and 1 <= values[b, 13] <= 2
            and _begins(text, values[b, 0], values[b, 1], title)
        ):
            at_title = b
    if at_title < 0:
        at_title = at_heading
    before: Any = 0.0
    prose_before: Any = 0.0
    prose_last: Any = -100
    for b in range(n):
        v = values[b]
        size = v[1] - v[0]
        row = out[b]
        row[0] = sizes[b]
        row[1] = v[5] / size
        row[2] = np.log1p(v[6])
        row[3] = size / max(1, v[6])
        row[4] = v[7]
        row[5] = v[7] / max(1, v[6])
        row[6] = v[8] / max(1, v[6])
        row[7] = v[9] / size
        row[8] = v[10] / size
        row[9] = v[2]
        row[10] = v[4]
        row[11] = v[13]
        row[12] = v[12]
        row[13] = v[14]
        final = text[v[1] - 1]
        row[14] = (
            1.0
            if final == 46 or final == 33 or final == 63 or final == 34
            else (2.0 if final == 58 else (3.0 if final >= 128 else 0.0))
        )
        first = text[v[0]]
        row[15] = (
            1.0
            if 65 <= first <= 90
            else (2.0 if 97 <= first <= 122 else (3.0 if 48 <= first <= 57 else (4.0 if first >= 128 else 0.0)))
        )
        row[16] = repeats[b]
        row[17] = np.log1p(alike[b])
        row[18] = v[8]
        row[19] = np.float32(kinds[v[2]] & 0x1FE0) if v[2] >= 0 else 0.0
        row[20] = np.log1p(size - v[5])
        row[21] = 1.0 if v[5] == 0 else 0.0
        c = _OWN
        row[c] = b / n
        row[c + 1] = before / max(1.0, total[0])
        row[c + 2] = b - at_title if at_title >= 0 else -9999
        row[c + 3] = prose_before
        row[c + 4] = b - prose_last
        row[c + 5] = np.log1p(total[0])
        row[c + 6] = _ratio(total[1], total[0])
        row[c + 7] = np.log1p(total[5])
        row[c + 8] = _ratio(prose_before, total[5])
        row[c + 9] = n - b
        row[c + 10] = _ratio(code, total[0])
        row[c + 11] = _ratio(terms, n)
        row[c + 12] = _ratio(headings, n)
        before += size
        if v[7] > 0 and size > 80 and 3 * v[5] < size:
            prose_before += size
            prose_last = b
        c += _SHARED
        e = v[3]
        for _ in range(_LEVELS):
            s = sums[e]
            row[c] = logs[e, 0]
            row[c + 1] = _ratio(s[1], s[0])
            row[c + 2] = _ratio(s[3], s[2])
            row[c + 3] = logs[e, 1]
            row[c + 4] = _ratio(s[5], total[5])
            row[c + 5] = element_tags[e]
            row[c + 6] = _ratio(s[5], s[0])
            c += _PER_LEVEL
            e = parents[e]
        for around in _AROUND:
            o = b + around
            if 0 <= o < n:
                w = values[o]
                length = w[1] - w[0]
                row[c] = sizes[o]
                row[c + 1] = w[5] / length
                row[c + 2] = w[7]
                row[c + 3] = w[2]
                row[c + 4] = (
                    1.0
                    if w[3] == v[3]
                    else (
                        2.0
                        if parents[w[3]] == parents[v[3]]
                        else (3.0 if parents[parents[w[3]]] == parents[parents[v[3]]] else 0.0)
                    )
                )
                row[c + 5] = w[8] / max(1, w[6])
                row[c + 6] = w[4] - v[4]
                row[c + 7] = 1.0 if shapes[o] == shapes[b] else 0.0
            else:
                row[c + 3] = -2
            c += 8
        for bit in range(_ANCESTORS):
            row[c + bit] = (v[11] >> bit) & 1
        c += _ANCESTORS
        for bit in range(_WORDS):
            row[c + bit] = (words[b] >> np.uint64(bit)) & np.uint64(1)
            row[c + _WORDS + bit] = (own[b] >> np.uint64(bit)) & np.uint64(1)
    return out


@njit(nogil=True, cache=True)
def _begins(text: Any, start: int, stop: int, title: Any) -> bool:
    """Whether the title begins with the block's text, ASCII case aside, or the other way round."""
    size = min(stop - start, len(title))
    if size < 8:
        return False
    for i in range(size):
        c = text[start + i]
        if 65 <= c <= 90:
            c |= 32
        if c != title[i]:
            return False
    return True
