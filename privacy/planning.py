"""Chooses how many privacy units join a step: the smallest batch that keeps most of what the budget allows.

With noise sigma and B units a step on average, a step's mean gradient has noise of deviation sigma C / B: the noise-batch ratio
sigma / B decides what it is worth (McKenna et al. 2025, "Scaling laws for differentially private language models"). Over T steps
signal adds up as T and noise as sqrt(T), so the signal of a whole run is

    sqrt(T) * B / sigma(T, B)

At one epsilon it grows with B, and stops growing: with all units in each step it is units * mu of the Gaussian mechanism, for any
T (Sander et al. 2023, "TAN without a burn"). More steps or larger batches buy nothing beyond; smaller ones save compute and lose
signal.

A unit of several rows can be sampled whole, or row by row (`levels`; Charles et al. 2024, "Fine-tuning large language models with
user-level differential privacy").
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from corpusmill.privacy.accounting import Event, noise_of, sigma_for
from corpusmill.transforms.errors import PrivacyError

QUICK = "pld-quick"
"""Its noise is a little more than is needed, and never less."""


@dataclass(frozen=True)
class Level:
    """Units of `rows` rows, sampled whole (`unit`) or row by row (`row`), with equal work a step.

    sampled: units or rows of a step; agree, differ: deviation of the noise on a step's mean gradient, over the norm of one row's,
    where all rows of a unit have one gradient and where theirs are orthogonal. The mean of orthogonal ones is clipped at 1 /
    sqrt(rows) of the norm of one, and takes that much less noise.
    """

    by: str
    sampled: int
    rate: float
    noise: float
    agree: float
    differ: float


def levels(
    units: int, rows: int, batch: int, steps: int, target: float, delta: float, before: Iterable[Event] = ()
) -> list[Level]:
    """Sampling whole units against sampling their rows, at `batch` rows a step and one epsilon for a unit.

    Rows of one unit add up: a unit adds j clips where j of its rows are sampled, which is accounted for exactly, as a mixture of
    Gaussians. Raises PrivacyError where a step takes more rows than there are, or less than one unit.
    """
    if not rows <= batch <= units * rows:
        raise PrivacyError(f"a step of {batch:,} rows does not fit {units:,} units of {rows:,} rows.")
    spent = tuple(before)
    whole, near = batch / rows / units, 0.02 * target
    unit = noise_of(Event(kind="poisson-gaussian", rate=whole, count=steps), target, delta, spent, QUICK, near)
    rate = batch / units / rows
    row = noise_of(Event(kind="poisson-gaussian", rate=rate, rows=rows, count=steps), target, delta, spent, QUICK, near)
    return [
        Level("unit", batch // rows, whole, unit, unit * rows / batch, unit * math.sqrt(rows) / batch),
        Level("row", batch, rate, row, row / batch, row / batch),
    ]


@dataclass(frozen=True)
class Choice:
    """A batch for a number of steps. rate: batch / units; noise: sigma; signal: share of what all units in each step would give."""

    steps: int
    batch: int
    rate: float
    noise: float
    signal: float

    @property
    def noise_batch_ratio(self) -> float:
        """Noise of a step's mean gradient, over the clipping norm."""
        return self.noise / self.batch


def choose(
    units: int, target: float, delta: float, steps: Sequence[int], before: Iterable[Event] = (), least: float = 0.9
) -> list[Choice]:
    """For each number of steps the smallest batch, of powers of two and all units, with the share `least` of the signal.

    Batches are compared on a wide grid of losses, which is quick; the noise of the chosen one is exact (PLD).
    Raises PrivacyError where `before` leaves nothing.
    """
    if not 0 < least < 1:
        raise PrivacyError(f"the share of the signal must be between 0 and 1, not {least:g}.")
    spent, out = tuple(before), []
    for count in steps:
        most = math.sqrt(count) / sigma_for(target, delta, 1.0, count, spent, QUICK)
        for batch in (*(2**k for k in range(3, 40) if 2**k < units), units):
            rate = batch / units
            share = math.sqrt(count) * rate / sigma_for(target, delta, rate, count, spent, QUICK) / most
            if share >= least or batch == units:
                break
        noise = sigma_for(target, delta, rate, count, spent)
        exact = math.sqrt(count) / sigma_for(target, delta, 1.0, count, spent)
        out.append(Choice(count, batch, rate, noise, math.sqrt(count) * rate / noise / exact))
    return out
