"""Charts as data for SVG: histograms of scores and lengths, and the line of documents over snapshots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

BINS = 30
HEIGHT = 60.0


@dataclass(frozen=True)
class Bar:
    """A bar of a histogram, in a drawing of width BINS and height HEIGHT. lost: it is on the side that the rule drops."""

    x: float
    y: float
    height: float
    lost: bool


@dataclass(frozen=True)
class Histogram:
    """bars; low, high: values at the edges; limit: x of the threshold, None without one; about: a sentence for readers."""

    bars: list[Bar]
    low: float
    high: float
    limit: float | None
    about: str


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
    counts, edges = np.histogram(np.clip(known, low, high), BINS, (low, high))
    heights = HEIGHT * np.sqrt(counts / counts.max())  # the root keeps rare values visible
    middles = (edges[:-1] + edges[1:]) / 2

    def lost(value: float) -> bool:
        return limit is not None and (value < limit if rule.startswith("min_") else value > limit)

    bars = [Bar(i, HEIGHT - h, float(h), lost(m)) for i, (h, m) in enumerate(zip(heights, middles, strict=True)) if h]
    at = None if limit is None else BINS * (limit - low) / (high - low)
    fails = int((known < limit).sum() if rule.startswith("min_") else (known > limit).sum()) if limit is not None else 0
    about = f"{len(known):,} values from {known.min():.4g} to {known.max():.4g}, median {np.median(known):.4g}"
    if limit is not None:
        about += f"; {fails:,} of them are beyond {rule} = {limit:g}"
    return Histogram(bars, low, high, at, about)


def line(values: list[int], width: float = 300.0, height: float = 80.0) -> str:
    """Points of a polyline through the values, from left to right; the largest touches the top."""
    top = max([*values, 1])
    step = width / max(1, len(values) - 1)
    return " ".join(f"{i * step:.1f},{height - (height - 4) * v / top:.1f}" for i, v in enumerate(values))


def shares(counts: dict[str, int], most: int = 20) -> list[dict[str, Any]]:
    """The largest groups with their share of all and the width of a bar in percent of the largest; the rest is one group."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(n for _, n in ordered[most:])
    ordered = ordered[:most] + ([(f"{len(ordered) - most} more", rest)] if rest else [])
    total, top = sum(counts.values()), max([*(n for _, n in ordered), 1])
    return [
        {"name": name, "count": n, "part": n / total if total else 0.0, "width": 100 * n / top} for name, n in ordered
    ]
