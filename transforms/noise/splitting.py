"""Finds sentences: by rules for languages with and without spaces, or by NLTK's punkt."""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.errors import MissingDependencyError
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.noise.buffers import room
from corpusmill.transforms.unicode import ALPHA, SPACE, UPPER, decode, tables

_WIDE = "。！？．｡।॥؟۔။។…"  # end a sentence wherever they stand
_NARROW = ".!?"  # end one before white space
_CLOSERS = "\"'”’」』）)]}»›》〉】〕"
_ABBREVIATIONS = """al approx art cf ch co corp dept dr ed eds eg est etc ex fig figs gen ie inc jr lt ltd mr mrs ms mt nr op
    p pp prof ref refs sec sr st vol vs z bzw usw ca"""


_SPACE_KIND, _WIDE_KIND, _NARROW_KIND, _CLOSER_KIND, _TRAIL = 1, 2, 4, 8, 14


@functools.cache
def _kinds() -> np.ndarray:
    """uint8 [0x10000]: the kind of each code point (space, full stop, closing quote, ...); 0 for most."""
    out = ((tables()[0][:0x10000] & SPACE) != 0).astype(np.uint8)
    for characters, kind in ((_WIDE, _WIDE_KIND), (_NARROW, _NARROW_KIND), (_CLOSERS, _CLOSER_KIND)):
        out[[ord(c) for c in characters]] = kind
    return out


_PACKED = np.array(sorted(int.from_bytes(w.encode(), "little") for w in _ABBREVIATIONS.split()), np.uint64)


@njit(nogil=True, cache=True)
def _abbreviated(data: Any, begin: int, dot: int, packed: Any) -> Any:
    """Whether the dot at data[dot] belongs to an abbreviation, an initial or the number of a list item."""
    i = dot
    digits, letters = True, True
    while i > begin and dot - i < 8 and data[i - 1] > 32:
        b = data[i - 1]
        if b == 40 or b == 46:  # ( and . as in (e.g. and a.m.
            break
        digits = digits and 48 <= b <= 57
        letters = letters and (97 <= (b | 32) <= 122)
        i -= 1
    n = dot - i
    if n == 0 or n >= 8:
        return False
    if digits:
        return i == begin or data[i - 1] == 10
    if not letters:
        return False
    if n == 1:
        return True
    word = np.uint64(0)
    for k in range(n):
        word |= np.uint64(data[i + k] | 32) << np.uint64(8 * k)
    at = np.searchsorted(packed, word)
    return at < len(packed) and packed[at] == word


@njit(nogil=True, cache=True)
def _rule_spans(offsets: Any, data: Any, flags: Any, kinds: Any, packed: Any) -> tuple[Any, Any, Any]:
    n = len(offsets) - 1
    first = np.zeros(n + 1, np.int64)
    size = max(16, (offsets[-1] - offsets[0]) // 16)
    starts = np.empty(size, np.int32)
    ends = np.empty(size, np.int32)
    k = 0
    for row in range(n):
        begin, stop = np.int64(offsets[row]), np.int64(offsets[row + 1])
        start, last = np.int64(-1), begin  # where the open sentence begins; behind its last visible character
        i = begin
        while i < stop:
            c, behind = decode(data, i, stop)
            kind = kinds[c] if c < 0x10000 else np.uint8(0)
            ended = False
            if kind == 0 or kind == _CLOSER_KIND:
                if start < 0:
                    start = i
                last = i = behind
                continue
            if kind == _SPACE_KIND:
                if c == 10 and start >= 0:
                    # a blank line, or a line that begins like an item, a heading, a quotation or a table
                    j = behind
                    while j < stop and (data[j] == 32 or data[j] == 9 or data[j] == 13):
                        j += 1
                    if j < stop:
                        b = data[j]
                        ended = b == 10 or b == 35 or b == 62 or b == 124
                        ended = ended or ((b == 42 or b == 43 or b == 45) and j + 1 < stop and data[j + 1] == 32)
            else:
                if start < 0:
                    start = i
                last = behind
                anywhere = kind == _WIDE_KIND
                i = behind
                closed = False
                while i < stop:
                    d, after = decode(data, i, stop)
                    kind = kinds[d] if d < 0x10000 else np.uint8(0)
                    if not kind & _TRAIL:
                        break
                    anywhere = anywhere or kind == _WIDE_KIND
                    closed = kind == _CLOSER_KIND
                    i = after
                alone, dot = i == behind, behind - 1
                last = behind = i
                ended = anywhere or i >= stop
                if i < stop:
                    d, j = decode(data, i, stop)
                    if anywhere:
                        # a quotation that goes on in hiragana, as in 「...。」と
                        ended = not (closed and 0x3041 <= d <= 0x3096)
                    elif flags[d] & SPACE:
                        while j < stop and flags[d] & SPACE:
                            d, j = decode(data, j, stop)
                        small = flags[d] & ALPHA and not flags[d] & UPPER and 97 <= d < 0x530
                        ended = not small and not (c == 46 and alone and _abbreviated(data, start, dot, packed))
            i = behind
            if ended and start >= 0:
                starts, ends = room(starts, k, 1), room(ends, k, 1)
                starts[k], ends[k] = start, last
                k += 1
                start = np.int64(-1)
        if start >= 0:
            starts, ends = room(starts, k, 1), room(ends, k, 1)
            starts[k], ends[k] = start, last
            k += 1
        first[row + 1] = k
    return first, starts[:k], ends[:k]


def rule_spans(texts: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(first int64 [n + 1], starts int32, ends int32): sentences first[i]:first[i + 1] of row i as bytes of the buffer."""
    offsets, data = string_buffers(texts)
    return _rule_spans(offsets, data, tables()[0], _kinds(), _PACKED)


def split_sentences(text: str) -> list[str]:
    """The sentences of one text, by rules.

    >>> split_sentences("Dr. Who left. 他走了。她也走了！ Why? no idea.")
    ['Dr. Who left.', '他走了。', '她也走了！', 'Why? no idea.']
    """
    _, starts, ends = rule_spans(pa.array([text]))
    data = text.encode()
    return [data[a:b].decode() for a, b in zip(starts, ends)]


@functools.lru_cache(maxsize=8)
def _punkt(language: str) -> Any:
    try:
        from nltk.tokenize import PunktTokenizer
    except ImportError:
        raise MissingDependencyError(
            "`splitter: punkt` needs NLTK. Run: pip install 'corpusmill[text]' && python -m nltk.downloader punkt_tab"
        ) from None
    try:
        return PunktTokenizer(language)
    except LookupError:
        raise MissingDependencyError(
            f"`splitter: punkt` needs NLTK's model for {language!r}, which is not there. Run: python -m nltk.downloader "
            "punkt_tab; or use `splitter: rules`."
        ) from None


def punkt_spans(texts: pa.Array, language: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `rule_spans`, by NLTK's punkt (Kiss and Strunk 2006).

    Punkt does not know the full stops of Chinese and Japanese, so rules cut its sentences there.
    """
    tokenizer = _punkt(language)
    offsets, _ = string_buffers(texts)
    first = np.zeros(len(texts) + 1, np.int64)
    starts: list[int] = []
    ends: list[int] = []
    for row, text in enumerate(texts.to_pylist()):
        if text:
            pieces = list(tokenizer.span_tokenize(text))
            if not text.isascii():
                pieces = [cut for a, b in pieces for cut in _cut_wide(text, a, b)]
                where = np.zeros(len(text) + 1, np.int64)
                np.cumsum([len(c.encode()) for c in text], out=where[1:])
                pieces = [(int(where[a]), int(where[b])) for a, b in pieces]
            starts += [int(offsets[row]) + a for a, b in pieces if b > a]
            ends += [int(offsets[row]) + b for a, b in pieces if b > a]
        first[row + 1] = len(starts)
    return first, np.array(starts, np.int32), np.array(ends, np.int32)


_WIDE_STOP = re.compile(f"[{_WIDE}]+[{re.escape(_CLOSERS)}]*\\s*")


def _cut_wide(text: str, a: int, b: int) -> list[tuple[int, int]]:
    """text[a:b] cut behind wide full stops: positions without the white space between."""
    out = []
    for match in _WIDE_STOP.finditer(text, a, b):
        out.append((a, a + len(text[a : match.end()].rstrip())))
        a = match.end()
    return out + ([(a, b)] if a < b else [])
