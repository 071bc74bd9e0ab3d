"""Groups the windows of a text into runs, so that equal windows of any texts fall into runs of equal key.

Source: winnowing, Schleimer, Wilkerson, Aiken 2003, "Winnowing: local algorithms for document fingerprinting", SIGMOD.
A window is `size` bytes; its fingerprint is the least hash of its substrings of k = ceil(size / 2) bytes. Equal windows have
equal fingerprints, and a fingerprint lasts (size - k + 2) / 2 windows on average: so one row a run of windows of one
fingerprint is enough to bring all equal windows of a corpus together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.transforms.hashing import GOLDEN, U, mix64, mix64_array
from corpusmill.transforms.kernels.njit import njit

_BASE = U(0xD6E8FEB86659FD93)


def byte_table() -> np.ndarray:
    """uint64 [256]: a random value for each byte, for rolling hashes."""
    return mix64_array(np.arange(1, 257, dtype=np.uint64) * GOLDEN)


@njit(nogil=True, cache=True)
def runs(offsets: Any, data: Any, size: int, table: Any) -> tuple[Any, Any, Any, Any, Any]:
    """The runs of windows of each text: (key uint64, document, begin, windows int64, span uint64), [m] each, in order.

    key: the fingerprint; begin: the first window's first byte; span: hash of the bytes under the run's windows, whose
    lowest bit is 1 if two windows of the run may be equal. Texts shorter than `size` bytes have none.
    """
    k = (size + 1) // 2
    width = size - k + 1  # substrings a window
    power = U(1)
    for _ in range(k):
        power *= _BASE
    out_of = table * power
    longest = 1
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    v = np.empty(longest, np.uint64)
    room = 16 + 3 * (offsets[-1] - offsets[0]) // (width + 1)
    key = np.empty(room, np.uint64)
    span = np.empty(room, np.uint64)
    document = np.empty(room, np.int64)
    begin = np.empty(room, np.int64)
    count = np.empty(room, np.int64)
    m = 0
    for row in range(len(offsets) - 1):
        start, stop = offsets[row], offsets[row + 1]
        if stop - start < size:
            continue
        if m + (stop - start) > room:
            room = 2 * room + (stop - start)
            key = np.concatenate((key, np.empty(room - len(key), np.uint64)))
            span = np.concatenate((span, np.empty(room - len(span), np.uint64)))
            document = np.concatenate((document, np.empty(room - len(document), np.int64)))
            begin = np.concatenate((begin, np.empty(room - len(begin), np.int64)))
            count = np.concatenate((count, np.empty(room - len(count), np.int64)))
        text = data[start:stop]
        h = U(0)
        for i in range(k):
            h = h * _BASE + table[text[i]]
        v[0] = (h ^ (h >> U(32))) * GOLDEN
        for j in range(1, stop - start - k + 1):
            h = h * _BASE + (table[text[j + k - 1]] - out_of[text[j - 1]])
            v[j] = (h ^ (h >> U(32))) * GOLDEN
        least = v[0]
        at = 0
        open_run = m - 1  # of this text: none yet
        twice = False
        acc = U(0)
        now = least  # the open run's key
        first = m
        for j in range(stop - start - k + 1):
            x = v[j]
            if x < least:
                least, at = x, j
                twice = False
            elif x == least:
                twice = twice or j > at
                at = j
            elif at <= j - width:
                least, at = x, j
                twice = False
                for b in range(j - 1, j - width, -1):
                    if v[b] < least:
                        least, at = v[b], b
                        twice = False
                    elif v[b] == least:
                        twice = True
            q = j - width + 1
            if q < 0:
                continue
            if open_run < first or now != least:
                if open_run >= first:
                    span[open_run] = (mix64(acc) & ~U(1)) | (span[open_run] & U(1))
                now = least
                open_run = m
                m += 1
                key[open_run], document[open_run], begin[open_run], count[open_run] = least, row, q, 1
                span[open_run] = U(0)
                acc = v[q] * _BASE + x
            else:
                count[open_run] += 1
                acc = acc * _BASE + x
            if twice:
                span[open_run] |= U(1)
        if open_run >= first:
            span[open_run] = (mix64(acc) & ~U(1)) | (span[open_run] & U(1))
    return key[:m], document[:m], begin[:m], count[:m], span[:m]


@njit(nogil=True, cache=True)
def contexts(offsets: Any, data: Any, document: Any, begin: Any, stop: Any, which: Any) -> tuple[Any, Any]:
    """(offsets int64 [n+1], bytes): text[begin:stop] of each run in `which`, and nothing for the others."""
    n = len(document)
    at = np.zeros(n + 1, np.int64)
    for i in range(n):
        at[i + 1] = at[i] + (stop[i] - begin[i] if which[i] else 0)
    out = np.empty(max(at[n], 8), np.uint8)
    for i in range(n):
        if which[i]:
            first = offsets[document[i]]
            out[at[i] : at[i + 1]] = data[first + begin[i] : first + stop[i]]
    return at, out
