"""Text of documents and names that is safe to show: on a terminal, in an error or in a page."""

from __future__ import annotations

import re

_BREAKS = "\n\v\f\r\x1c-\x1e\x85\u2028\u2029"
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f"
_INVISIBLE = "\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff\u180e"
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNSAFE = re.compile(f"[{_CONTROLS}{_INVISIBLE}{_BIDI}\u2028\u2029\ud800-\udfff]")
_UNSAFE_LINE = re.compile(f"[{_BREAKS}{_CONTROLS}{_INVISIBLE}{_BIDI}\ud800-\udfff]")


def printable(text: str) -> str:
    """`text` on one line, without characters that move a cursor, change its direction or hide text.

    >>> printable("a\\x1b[2J\\nb\\u202ec")
    'a�[2J�b�c'
    """
    return _UNSAFE_LINE.sub("\ufffd", text)


def clean(text: str) -> str:
    """The same for a text of several lines: line breaks and tabs stay.

    >>> clean("a\\x1b[2J\\nb\\u202ec")
    'a�[2J\\nb�c'
    """
    return _UNSAFE.sub("\ufffd", text)


def escaped(text: str) -> str:
    """`text` with these characters as `\\uXXXX`, as JSON writes them."""
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code > 0xFFFF:  # JSON escapes UTF-16 units
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return f"\\u{code:04x}"
