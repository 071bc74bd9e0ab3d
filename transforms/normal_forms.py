"""Unicode normal forms in linear time, only where a text may not be in its form yet.

CPython sorts the combining marks behind a character by insertion, in time quadratic in their number and with the GIL held. So
long runs of marks are decomposed and sorted here, and `unicodedata` finds them in order.
"""

from __future__ import annotations

import functools
import unicodedata
from typing import Literal

import numpy as np
import pyarrow as pa

from corpusmill.transforms.arrow import replace_rows, string_buffers
from corpusmill.transforms.unicode import MARK, NFC_CHECK, needs_check, needs_nfc, tables


@functools.cache
def _check_table(form: str) -> np.ndarray:
    """uint16 [0x110000] with the flag NFC_CHECK on every code point whose presence asks for a closer look."""
    flags = tables()[0]
    if form == "NFC":
        return flags
    out = flags & np.uint16(NFC_CHECK)
    for c in range(0x80, 0x32000):
        if not 0xD800 <= c < 0xE000 and not unicodedata.is_normalized("NFKC", chr(c)):
            out[c] = NFC_CHECK
    out.flags.writeable = False
    return out


LONG = 32
"""Runs of at least so many combining marks are sorted here."""


@functools.cache
def _classes() -> np.ndarray:
    """uint8 [0x110000]: the canonical combining class of each code point."""
    classes = np.zeros(0x110000, np.uint8)
    for c in np.flatnonzero(tables()[0] & MARK).tolist():
        classes[c] = unicodedata.combining(chr(c))
    return classes


def normalized(text: str, form: Literal["NFC", "NFKC"]) -> str:
    """`unicodedata.normalize(form, text)` in linear time.

    >>> normalized("e" + "\\u0323\\u0301" * 40, "NFC") == unicodedata.normalize("NFC", "e" + "\\u0323\\u0301" * 40)
    True
    """
    if len(text) >= LONG:
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        edges = np.flatnonzero(np.diff(_classes()[points] > 0, prepend=False, append=False))
        begins, ends = edges[::2], edges[1::2]
        long = ends - begins >= LONG
        if long.any():
            parts, last = [], 0
            for begin, end in zip(begins[long].tolist(), ends[long].tolist()):
                parts += [text[last:begin], _sorted_marks(text[begin:end], form)]
                last = end
            text = "".join([*parts, text[last:]])
    return unicodedata.normalize(form, text)


def _sorted_marks(run: str, form: Literal["NFC", "NFKC"]) -> str:
    """A run of combining marks, decomposed and in canonical order."""
    decomposed = {c: unicodedata.normalize("NFD" if form == "NFC" else "NFKD", c) for c in set(run)}
    points = np.frombuffer("".join(map(decomposed.__getitem__, run)).encode("utf-32-le"), "<u4")
    return points[np.argsort(_classes()[points], kind="stable")].tobytes().decode("utf-32-le")


def normalize(texts: pa.Array, form: Literal["NFC", "NFKC"]) -> pa.Array:
    """Texts in normal form NFC or NFKC; the same array if none had to change.

    >>> normalize(pa.array(["plain", "e\\u0301"]), "NFC").to_pylist()
    ['plain', 'é']
    """
    offsets, data = string_buffers(texts)
    check = needs_nfc if form == "NFC" else needs_check
    rows = check(offsets, data, _check_table(form))
    if not rows.any():
        return texts
    before = texts.filter(pa.array(rows)).to_pylist()
    # few rows get here; pyarrow's utf8_normalize would be faster, but pyarrow 25 does not compose under NFC
    after = [normalized(text, form) if text else text for text in before]
    return texts if after == before else replace_rows(texts, rows, after)
