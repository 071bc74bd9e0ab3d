"""Numbers, sizes and durations in words, and text that is safe to print."""

from __future__ import annotations

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
    """`part` of `whole` in percent; what is neither none nor all never reads as 0 % or 100 %.

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
