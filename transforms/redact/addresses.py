"""E-mail addresses of ASCII letters, decided by a kernel: text may hold hundreds of thousands.

The grammar is that of `mail`, which is asked about the rest: letters beyond ASCII, names of files, code, very long labels.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from corpusmill.transforms.hashing import U, murmur128
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.redact.mail import FILE_TYPES, is_top_level, rules_of_suffixes

NO, YES, ASK = 0, 1, 2
_WORD, _LOCAL, _LETTER, _LABEL = 1, 2, 4, 8


def _classes() -> np.ndarray:
    """uint8 [256]: flags of a byte: letter, digit or underscore; within a local part; letter; within a label."""
    out = np.zeros(256, np.uint8)
    for c in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz":
        out[c] = _WORD | _LOCAL | _LETTER | _LABEL
    for c in b"0123456789":
        out[c] = _WORD | _LOCAL | _LABEL
    out[ord("_")] = _WORD | _LOCAL
    for c in b"!#$&*?^~.%+":
        out[c] = _LOCAL
    out[ord("-")] = _LOCAL | _LABEL
    out.flags.writeable = False
    return out


_CLASSES = _classes()


@functools.cache
def _top_level() -> tuple[np.ndarray, np.ndarray]:
    """(hashes uint64 [k] in order, bool [k]): the top-level domains of ASCII letters, and which are also endings of file names."""
    labels = {rule.rpartition(".")[2] for rule in rules_of_suffixes()}
    written = sorted({label.encode("idna").decode() for label in labels})  # letters beyond ASCII as xn--
    known = [label for label in written if is_top_level(label)]
    hashes = np.array([_hash(np.frombuffer(label.encode(), np.uint8)) for label in known], np.uint64)
    order = np.argsort(hashes)
    files = np.array([label in FILE_TYPES for label in known])
    return hashes[order], files[order]


@njit(nogil=True, cache=True)
def _hash(label: Any) -> Any:
    return murmur128(label, 0, len(label), U(0))[0]


@njit(nogil=True, cache=True)
def _decide(offsets: Any, data: Any, found: Any, classes: Any, known: Any, files: Any, spans: Any, out: Any) -> None:
    """out uint8 [k]: NO, YES or ASK for each stretch of `found`; spans int64 [k, 3]: row, first byte and byte behind, where YES."""
    lowered = np.empty(64, np.uint8)
    ends = np.empty(10, np.int64)  # of the labels
    for k in range(len(found)):
        row, a, b = found[k, 0], found[k, 1], found[k, 2]
        at = a
        ascii_: Any = True
        for i in range(a, b):
            if data[i] == 64:
                at = i
            if data[i] >= 0x80:
                ascii_ = False
        out[k] = 2
        if not ascii_ or at - a > 64:
            continue
        # the local part: as far to the left as it goes
        low: Any = at
        while low > a and (
            classes[data[low - 1]] & 2
            or (data[low - 1] == 39 and low < at and classes[data[low]] & 1 and data[low] != 95)
        ):
            low -= 1
        begin = at
        for p in range(max(a, low - 1), at):
            if classes[data[p]] & 1 and (p == a or not classes[data[p - 1]] & 1):
                begin = p
                break
        out[k] = 0
        if begin == at or data[at - 1] == 46:
            continue
        for p in range(begin, at - 1):
            if data[p] == 46 and data[p + 1] == 46:
                begin = at
        if begin == at:
            continue
        # the domain: labels between dots, and a last one that begins with a letter
        n = 0
        start: Any = at + 1
        long = False
        while n < 9:
            end = start
            while end < b and classes[data[end]] & 8:
                end += 1
            long |= end - start > 61
            if end in (start, b) or data[end] != 46 or data[start] == 45 or data[end - 1] == 45:
                break
            ends[n] = end
            n += 1
            start = end + 1
        if long or n == 9:
            out[k] = 2
            continue
        stop: Any = at
        if end > start and classes[data[start]] & 4:
            ends[n] = end
            n += 1
        while n > 1 and not classes[data[ends[n - 2] + 1]] & 4:  # a last label begins with a letter
            n -= 1
        # the longest beginning that ends in a top-level domain
        file = False
        last = ends[n - 1]
        while n > 1 and data[last - 1] == 45:
            last -= 1
        while n > 1:
            first = ends[n - 2] + 1
            size = last - first
            if size < 64:
                for p in range(size):
                    c = data[first + p]
                    lowered[p] = c | 32 if 65 <= c <= 90 else c
                h = murmur128(lowered, 0, size, U(0))[0]
                place = np.searchsorted(known, h)
                if place < len(known) and known[place] == h:
                    stop, file = last, files[place]
                    break
            n -= 1
            last = ends[n - 1]
        if n < 2:
            continue
        after = data[stop] if stop < offsets[row + 1] else np.uint8(32)
        if classes[after] & 1:
            continue
        digit = 48 <= data[at + 1] <= 57
        version = (data[at + 1] | 32) == 118 and 48 <= data[at + 2] <= 57
        if file or after == 58 or after == 40 or (n == 2 and (digit or version)):
            out[k] = 2
            continue
        out[k] = 1
        spans[k, 0], spans[k, 1], spans[k, 2] = row, begin, stop


def decide(offsets: np.ndarray, data: np.ndarray, stretches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(spans int64 [m, 3] of addresses, the stretches that `mail` has to decide), each in order.

    stretches: int64 [k, 4], rows of `candidates` of kind MAIL.
    """
    spans, out = np.empty((len(stretches), 3), np.int64), np.empty(len(stretches), np.uint8)
    _decide(offsets, data, stretches, _CLASSES, *_top_level(), spans, out)
    return spans[out == YES], stretches[out == ASK]
