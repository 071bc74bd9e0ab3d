"""The steps of ftfy's repair of mojibake, with its tables and fixes, on a text that is known to be bad.

`ftfy.fix_encoding` asks after every step whether the text is still bad, which costs 0.5 µs a character of good text; here the
caller asks, who has a quicker way (`corpusmill.transforms.clean.mojibake`).

Source: Robyn Speer, ftfy 6.3, `ftfy.fix_encoding`.
"""

from __future__ import annotations

from collections.abc import Callable


def recoded(text: str) -> str:
    """`text` after one step: read with the character set that it should have been read with, or with single characters mended.

    Returns the same text if ftfy leaves it.
    """
    from ftfy import chardata, fixes

    fitting = []
    for charset in chardata.CHARMAP_ENCODINGS:
        if not chardata.possible_encoding(text, charset):
            continue
        fitting.append(charset)
        data = text.encode(charset)
        # an en dash and a blank in Mac OS Roman look like a character whose no-break space was lost
        if charset != "macroman" and b" " in data and chardata.ALTERED_UTF8_RE.search(data):
            data = fixes.restore_byte_a0(data)
        if charset.startswith("sloppy") and (b"\x1a" in data or b"?" in data):
            data = fixes.replace_lossy_sequences(data)
        try:
            return data.decode("utf-8-variants" if b"\xed" in data or b"\xc0" in data else "utf-8")
        except UnicodeDecodeError:
            continue
    if chardata.UTF8_DETECTOR_RE.search(text):
        fixed: str = fixes.decode_inconsistent_utf8(text)
        if fixed != text:
            return fixed
    if "latin-1" in fitting:
        if "windows-1252" in fitting:
            return text
        try:
            return text.encode("latin-1").decode("windows-1252")
        except UnicodeDecodeError:
            pass
    return str(fixes.fix_c1_controls(text))


def repaired(line: str, bad: Callable[[str], bool]) -> str:
    """A line with all steps taken. bad: whether a text looks like mojibake, as `ftfy.badness.is_bad`."""
    from ftfy import fixes

    while True:
        before = line
        while bad(line):
            after = recoded(line)
            if after == line:
                break
            line = after
        line = fixes.fix_c1_controls(line)
        if line == before:
            return line


SEGMENT = 1_000_000
"""Characters that are mended as one, if no line ends before, as in ftfy."""


def segments(text: str) -> list[str]:
    """The lines of a text with their line feeds; very long ones in parts."""
    out = []
    begin = 0
    while begin < len(text):
        end = text.find("\n", begin) + 1 or len(text)
        end = min(end, begin + SEGMENT)
        out.append(text[begin:end])
        begin = end
    return out
