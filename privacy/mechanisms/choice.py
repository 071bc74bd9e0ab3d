"""Chooses a run's noise mechanism: which bands, and how much noise, for an epsilon, a batch and a number of steps.

Few bands sample better, many bands correlate better (McKenna 2024). What a mechanism is worth is the deviation of its prefix sums,
sigma times the error of its strategy, over the batch. Candidates are compared on a wide grid of losses, which is quick; the noise
of the chosen one is exact (PLD).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from corpusmill.privacy.accounting import Event, noise_of
from corpusmill.privacy.dp_settings import Mechanism
from corpusmill.privacy.mechanisms import strategy, toeplitz
from corpusmill.transforms.errors import PrivacyError

MOST_BANDS = 128


@dataclass(frozen=True)
class Plan:
    """A mechanism for a run. rate: of a unit in its group's step; error: root mean squared error of the prefix sums at sigma 1."""

    noise: Mechanism
    bands: int
    rate: float
    sigma: float
    error: float
    column: tuple[float, ...] = ()
    buffers: tuple[tuple[float, float], ...] = ()

    @property
    def deviation(self) -> float:
        """Deviation of the noise of a prefix sum, over the clipping norm: what plans of one batch are compared by."""
        return self.sigma * self.error

    def settings(self) -> dict[str, Any]:
        """What `DpSettings` says of it."""
        return {"noise": self.noise, "bands": self.bands, "column": self.column, "buffers": self.buffers} | {
            "rate": self.rate
        }


def most_bands(batch: int, units: int, steps: int) -> int:
    """The most groups of which each has a turn, and a whole batch in it."""
    return max(1, min(steps, units // batch))


def strategy_of(noise: Mechanism, bands: int, batch: int, units: int, steps: int) -> tuple[Plan, Event]:
    """A mechanism whose noise is not known yet, and its event. Raises PrivacyError where the bands do not fit.

    batch, units: public numbers of units, of a step and in all.
    """
    if bands > steps or bands * batch > units:
        raise PrivacyError(
            f"{bands} bands do not fit: a group holds {units / bands:,.0f} units and has {steps / bands:.1f} turns, where a step "
            f"takes {batch:,} units. Give at most {most_bands(batch, units, steps):,}."
        )
    if noise == "buffered":
        found = strategy.buffers(steps, bands)
        error = toeplitz.error(toeplitz.buffered(found, steps), steps)
        event = Event(kind="buffered-gaussian", bands=bands, count=steps, buffers=found)
        return Plan(noise, bands, 1.0, 0.0, error, buffers=found), event
    column = strategy.banded(steps, bands)
    rate = bands * batch / units
    event = Event(kind="banded-gaussian", bands=bands, count=steps, rate=rate)
    return Plan("banded", bands, rate, 0.0, toeplitz.error(np.array(column), steps), column), event


def compare(
    batch: int,
    units: int,
    steps: int,
    target: float,
    delta: float,
    before: Iterable[Event] = (),
    accountant: str = "pld-quick",
) -> list[Plan]:
    """Every mechanism for one batch and number of steps: independent, the best bands, buffers. Raises as `plan`.

    The wide grid asks for a little more noise than is needed.
    """
    spent = tuple(before)
    kinds: tuple[Mechanism, ...] = ("independent", "banded", "buffered")
    found = [plan(noise, batch, units, steps, target, delta, spent, accountant) for noise in kinds]
    return [replace(found[0], noise="independent"), *found[1:]]


def plan(
    noise: Mechanism,
    batch: int,
    units: int,
    steps: int,
    target: float,
    delta: float,
    before: Iterable[Event] = (),
    accountant: str = "pld",
    bands: int = 0,
) -> Plan:
    """The mechanism with the least error for an epsilon of `target` at `delta`, with all `before`. bands: 0 chooses.

    Banded strategies are tried with 1, 2, 4 ... bands. A buffered one has as many groups as a step's batch goes into the units.
    Raises PrivacyError where no budget is left, or the bands do not fit.
    """
    spent = tuple(before)
    if noise == "independent":
        noise, bands = "banded", 1
    if noise == "buffered":
        sizes = [bands or most_bands(batch, units, steps)]
    else:
        sizes = [bands] if bands else [2**k for k in range(8) if 2**k <= min(steps, units // batch, MOST_BANDS)]
    quick = "pld-quick" if accountant == "pld" else accountant
    tried = [strategy_of(noise, size, batch, units, steps) for size in sizes]
    if len(tried) > 1:
        tried.sort(key=lambda one: one[0].error * noise_of(one[1], target, delta, spent, quick, 0.02 * target))
    best, event = tried[0]
    sigma = noise_of(event, target, delta, spent, accountant)
    return replace(best, sigma=sigma)
