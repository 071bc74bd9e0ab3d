"""Chooses how many privacy units join a step: the smallest batch that keeps most of what the budget allows.

With noise sigma and B units a step on average, a step's mean gradient has noise of deviation sigma C / B: the noise-batch ratio
sigma / B decides what it is worth (McKenna et al. 2025, "Scaling laws for differentially private language models"). Over T steps
signal adds up as T and noise as sqrt(T), so the signal of a whole run is

    sqrt(T) * B / sigma(T, B)

At one epsilon it grows with B, and stops growing: with all units in each step it is units * mu of the Gaussian mechanism, for any
T (Sander et al. 2023, "TAN without a burn"). More steps or larger batches buy nothing beyond; smaller ones save compute and lose
signal.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from corpusmill.privacy.accounting import Event, sigma_for
from corpusmill.transforms.errors import PrivacyError


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
        most = math.sqrt(count) / sigma_for(target, delta, 1.0, count, spent, "pld-quick")
        for batch in (*(2**k for k in range(3, 40) if 2**k < units), units):
            rate = batch / units
            share = math.sqrt(count) * rate / sigma_for(target, delta, rate, count, spent, "pld-quick") / most
            if share >= least or batch == units:
                break
        noise = sigma_for(target, delta, rate, count, spent)
        exact = math.sqrt(count) / sigma_for(target, delta, 1.0, count, spent)
        out.append(Choice(count, batch, rate, noise, math.sqrt(count) * rate / noise / exact))
    return out
