"""Charts as data for SVG: histograms of scores and lengths, and the line of documents over snapshots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

BINS = 30
HEIGHT = 60.0
SKEWED = 15
"""A score whose largest values are more than so many times its median is drawn on a logarithmic axis."""


@dataclass(frozen=True)
class Bar:
    """A bar of a histogram, in a drawing of width BINS and height HEIGHT. lost: it is on the side that the rule drops."""

    x: float
    y: float
    height: float
    lost: bool


@dataclass(frozen=True)
class Histogram:
    """bars; low, high: values at the edges; limit: x of the threshold, None without one; about: a sentence for readers;
    log: the axis is logarithmic."""

    bars: list[Bar]
    low: float
    high: float
    limit: float | None
    about: str
    log: bool = False


def figure(value: float) -> str:
    """A value of a score, short.

    >>> figure(41480.4), figure(0.123456), figure(20)
    ('41,480', '0.1235', '20')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def histogram(values: np.ndarray, rule: str = "", limit: float | None = None) -> Histogram | None:
    """A histogram of finite values between their 0.5 % and 99.5 % quantiles; values beyond stand in the outer bars.

    rule: `min_...` or `max_...`, which says on which side of `limit` documents are dropped.
    """
    known = values[np.isfinite(values)].astype(np.float64)
    if not len(known):
        return None
    low, high = (float(x) for x in np.quantile(known, [0.005, 0.995]))
    if limit is not None:
        low, high = min(low, limit), max(high, limit)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    # values over several powers of ten would all stand in the first bar
    log = low > 0 and high / max(float(np.median(known)), low) > SKEWED
    scale = np.log10 if log else np.asarray
    begin, end = float(scale(low)), float(scale(high))
    counts, edges = np.histogram(scale(np.clip(known, low, high)), BINS, (begin, end))
    heights = HEIGHT * np.sqrt(counts / counts.max())  # the root keeps rare values visible
    middles = (edges[:-1] + edges[1:]) / 2
    middles = 10**middles if log else middles

    def lost(value: float) -> bool:
        return limit is not None and (value < limit if rule.startswith("min_") else value > limit)

    bars = [Bar(i, HEIGHT - h, float(h), lost(m)) for i, (h, m) in enumerate(zip(heights, middles, strict=True)) if h]
    at = None if limit is None else BINS * (float(scale(max(limit, low))) - begin) / (end - begin)
    fails = int((known < limit).sum() if rule.startswith("min_") else (known > limit).sum()) if limit is not None else 0
    about = (
        f"{len(known):,} values from {figure(known.min())} to {figure(known.max())}, median {figure(np.median(known))}"
    )
    if limit is not None:
        about += f"; {fails:,} of them are beyond {rule} = {figure(limit)}"
    return Histogram(bars, low, high, at, about, log)


def line(values: list[int], width: float = 300.0, height: float = 80.0) -> str:
    """Points of a polyline through the values, from left to right; the largest touches the top."""
    top = max([*values, 1])
    step = width / max(1, len(values) - 1)
    return " ".join(f"{i * step:.1f},{height - (height - 4) * v / top:.1f}" for i, v in enumerate(values))


@dataclass(frozen=True)
class Curves:
    """Several series in one drawing of 300 by 100. lines: (name, points of a polyline); low, high: values at its edges;
    first, last: steps at its edges."""

    lines: list[tuple[str, str]]
    low: float
    high: float
    first: int
    last: int


def curves(series: dict[str, list[tuple[int, float]]], most: int = 400) -> Curves | None:
    """Series of (step, value) on common axes; long ones are thinned to `most` points. None without any point."""
    known = {name: points for name, points in series.items() if points}
    if not known:
        return None
    steps = [step for points in known.values() for step, _ in points]
    values = [value for points in known.values() for _, value in points]
    low, high, first, last = min(values), max(values), min(steps), max(steps)
    lines = []
    for name, points in known.items():
        thin = (
            [points[round(i * (len(points) - 1) / (most - 1))] for i in range(most)] if len(points) > most else points
        )
        places = [
            (300 * (s - first) / max(1, last - first), 96 - 92 * (v - low) / (high - low if high > low else 1.0))
            for s, v in thin
        ]
        lines.append((name, " ".join(f"{x:.1f},{y:.1f}" for x, y in places)))
    return Curves(lines, low, high, first, last)


def shares(counts: dict[str, int], most: int = 20) -> list[dict[str, Any]]:
    """The largest groups with their share of all and the width of a bar in percent of the largest; the rest is one group."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(n for _, n in ordered[most:])
    ordered = ordered[:most] + ([(f"{len(ordered) - most} more", rest)] if rest else [])
    total, top = sum(counts.values()), max([*(n for _, n in ordered), 1])
    return [
        {"name": name, "count": n, "part": n / total if total else 0.0, "width": 100 * n / top} for name, n in ordered
    ]
