"""Repair of text that was decoded with the wrong character set ("schÃ¶n" for "schön"), by ftfy.

ftfy looks at every character in Python. A kernel goes first: ftfy acts only where characters stand side by side that are
unlikely together, from the sets that it publishes (`ftfy.badness.MOJIBAKE_CATEGORIES`). Rows without such a
pair cannot change.
"""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from transforms.arrow import string_buffers
from transforms.unicode import decode

_ODD, _COMMON, _ALONE = 1, 2, 4
_LETTERS = (
    "common",
    "lower_common",
    "upper_common",
    "lower_accented",
    "kaomoji",
)  # no rule has two of these and no other
_NOTED = "ŒœÃÂЂ"  # need no second character from the sets


@functools.cache
def _table() -> np.ndarray:
    """uint8 [0x110000]: _ODD and _COMMON for characters of ftfy's sets, _ALONE for those that count on their own."""
    from ftfy.badness import BADNESS_RE, MOJIBAKE_CATEGORIES

    out = np.zeros(0x110000, np.uint8)
    for name, ranges in MOJIBAKE_CATEGORIES.items():
        pattern = re.compile(f"[{ranges}]")
        flag = _ALONE if name == "c1" else _COMMON if name in _LETTERS else _ODD
        for c in range(0x80, 0x10000):
            if pattern.match(chr(c)):
                out[c] |= flag
    for char in BADNESS_RE.pattern:  # characters that its rules name one by one
        if char > "\x7f" and not out[ord(char)]:
            out[ord(char)] = _ODD
    for char in _NOTED:
        out[ord(char)] |= _ALONE
    out.flags.writeable = False
    return out


@njit(nogil=True, cache=True)
def _suspects(offsets: Any, data: Any, table: Any, out: Any) -> None:
    for row in range(len(offsets) - 1):
        i, stop = offsets[row], offsets[row + 1]
        last = 0
        while i < stop:
            if data[i] < 0x80:
                i += 1
                last = 0
                continue
            c, i = decode(data, i, stop)
            kind = table[c]
            if kind & _ALONE or (last and kind and (last | kind) & _ODD):
                out[row] = True
                break
            last = kind


def suspects(texts: pa.Array) -> np.ndarray:
    """bool [n]: the rows that ftfy might change; no other row does it change."""
    offsets, data = string_buffers(texts)
    out = np.zeros(len(texts), np.bool_)
    _suspects(offsets, data, _table(), out)
    return out


def repair(texts: pa.Array) -> pa.Array:
    """Texts with their mojibake undone and nothing else changed; the same array if there was none.

    >>> repair(pa.array(["schÃ¶n", "schön"])).to_pylist()
    ['schön', 'schön']
    """
    rows = suspects(texts)
    if not rows.any():
        return texts
    from ftfy import TextFixerConfig, fix_text
    from ftfy.badness import is_bad

    config = TextFixerConfig(
        unescape_html=False, remove_terminal_escapes=False, fix_latin_ligatures=False, fix_character_width=False,
        uncurl_quotes=False, fix_line_breaks=False, fix_surrogates=False, remove_control_chars=False, normalization=None,
    )  # fmt: skip
    mask = pa.array(rows)
    before = texts.filter(mask).to_pylist()
    after = [fix_text(text, config) if text and is_bad(text) else text for text in before]
    return texts if after == before else pc.replace_with_mask(texts, mask, pa.array(after, texts.type))
