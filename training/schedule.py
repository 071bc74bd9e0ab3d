"""The learning rate as a pure function of the step."""

from __future__ import annotations

import math

from corpusmill.training.settings import ScheduleSettings


def rate(settings: ScheduleSettings, step: int, steps: int) -> float:
    """The learning rate of step `step` of `steps` (counted from 0), as a share of the highest one.

    All grow linearly over `warmup` steps, then
      constant: 1
      cosine:   m + (1 - m) (1 + cos(pi t)) / 2, t from 0 to 1 (Loshchilov and Hutter 2017)
      wsd:      1, then in the last `decay` steps linearly down to m (Hu et al. 2024, MiniCPM, section 4)
    with m = min_ratio.

    >>> [round(rate(ScheduleSettings(name="wsd", warmup=2, decay=2, min_ratio=0.5), s, 6), 2) for s in range(6)]
    [0.5, 1.0, 1.0, 1.0, 0.75, 0.5]
    """
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    low = settings.min_ratio
    if settings.name == "cosine":
        done = (step + 1 - settings.warmup) / max(1, steps - settings.warmup)
        return low + (1 - low) * (1 + math.cos(math.pi * min(1.0, done))) / 2
    if settings.name == "wsd":
        decay = steps // 5 if settings.decay is None else settings.decay
        done = (step + 1 - (steps - decay)) / max(1, decay)
        return 1 - (1 - low) * min(1.0, max(0.0, done))
    return 1.0
