"""Text that is safe to print on a terminal."""

from __future__ import annotations

import unicodedata


def printable(text: str) -> str:
    """Replace every control, format and surrogate character but the tab with U+FFFD.

    Such characters move a terminal's cursor, start an escape sequence or reverse the direction of text.

    >>> printable("a\\x1b[2Jb")
    'a�[2Jb'
    """
    return "".join(c if c == "\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else "\ufffd" for c in text)
