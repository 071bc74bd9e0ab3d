"""Numbers, sizes and durations in words; text that is safe to print; and the one function that prints."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from corpusmill.transforms.display import clean as clean
from corpusmill.transforms.display import escaped
from corpusmill.transforms.display import printable as printable


def count(number: int | None) -> str:
    """1234567 -> '1,234,567'; None -> '?'"""
    return "?" if number is None else f"{number:,}"


def some(number: int, noun: str) -> str:
    """A count and its noun.

    >>> some(1, "file"), some(2000, "file")
    ('1 file', '2,000 files')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def skipped(steps: Sequence[str]) -> str:
    """A sentence on steps that a sample of documents cannot go through."""
    return f"Skipped {', '.join(steps)}: these steps need the whole corpus."


def size(number: int | None) -> str:
    """Bytes in the nearest unit of 1,000.

    >>> size(999), size(1_500), size(None)
    ('999 B', '1.5 kB', '?')
    """
    if number is None:
        return "?"
    value, unit = float(number), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:,.0f} {unit}" if unit == "B" or value >= 99.95 else f"{value:,.1f} {unit}"


def share(part: float, whole: float) -> str:
    """`part` of `whole` in percent. Only none reads as 0 %, and only all reads as 100 %.

    >>> share(1, 3), share(1, 100_000), share(0, 0)
    ('33.3 %', '<0.1 %', '-')
    """
    if not whole:
        return "-"
    percent = 100 * part / whole
    if 0 < percent < 0.05:
        return "<0.1 %"
    if 99.95 <= percent < 100:
        return ">99.9 %"
    return f"{percent:.1f} %"


def duration(seconds: float) -> str:
    """`4.2 s`, `3 min 10 s`, `2 h 5 min`"""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


_COLOUR = re.compile("(\x1b\\[[0-9;]*m)")
"""SGR sequences, which set colours only. `say` lets them pass to a terminal that shows colours."""
_SIMPLE = str.maketrans("█▉▊▋▌▍▎▏│…↵\ufffd", "####====|~^?")
"""Signs of tables and bars, in ASCII, for encodings that lack them."""


def say(text: str, err: bool = False, nl: bool = True, escape: bool = False) -> None:
    """Print `text`. Everything that corpusmill prints passes here.

    Control, bidi and invisible characters are replaced by U+FFFD. Line breaks and tabs stay, and so do colours on a terminal
    that shows them; text of documents and names passes `printable` before, which takes colours out, too. Characters that the
    terminal's encoding lacks are printed as other signs or as escapes, so that printing never fails. On standard error,
    passwords and keys are masked: libraries put addresses into their messages.

    Args:
        err: print to standard error.
        nl: end with a line break.
        escape: write `\\uXXXX` instead of U+FFFD, as JSON does.
    """
    import click

    if err:
        from corpusmill.transforms.secrets import mask

        text = mask(text)

    def safe(part: str) -> str:
        return escaped(part) if escape else clean(part)

    stream = sys.stderr if err else sys.stdout
    parts = _COLOUR.split(text) if has_colour(stream) else [text]
    cleaned = "".join(part if i % 2 else safe(part) for i, part in enumerate(parts))
    encoding = getattr(stream, "encoding", None) or "utf-8"
    if not encoding.lower().startswith("utf"):
        cleaned = cleaned.translate(_SIMPLE)
    click.echo(cleaned.encode(encoding, "backslashreplace").decode(encoding), err=err, nl=nl)


def has_colour(stream: object) -> bool:
    """Whether `stream` is a terminal that shows colours."""
    import os

    is_terminal = getattr(stream, "isatty", lambda: False)()
    return bool(is_terminal) and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
