"""Unicode normal forms, only where a text may not be in its form yet."""

from __future__ import annotations

import functools
import unicodedata
from typing import Literal

import numpy as np
import pyarrow as pa

from corpusmill.transforms.arrow import replace_rows, string_buffers
from corpusmill.transforms.unicode import NFC_CHECK, needs_check, needs_nfc, tables


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
    # few rows come here; pyarrow's utf8_normalize would be faster, but pyarrow 25 does not compose under NFC
    after = [unicodedata.normalize(form, text) if text else text for text in before]
    return texts if after == before else replace_rows(texts, rows, after)
