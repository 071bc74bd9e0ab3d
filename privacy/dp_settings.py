"""Everything public about a private run: what its epsilon and its updates depend on."""

from __future__ import annotations

import hashlib
import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from corpusmill.privacy.accounting import Event

Mode = Literal["hooks", "fast", "ghost"]
Mechanism = Literal["independent", "banded", "buffered"]


class DpSettings(BaseModel):
    """Everything public about a private run: what its epsilon and its updates depend on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(ge=1, description="steps of the whole run")
    rate: float = Field(gt=0, le=1, description="probability with which a unit joins a step")
    sigma: float = Field(ge=0, allow_inf_nan=False, description="noise: its deviation over the clipping norm")
    units: int = Field(
        ge=1, description="the public number of units; a step's sum is divided by rate * units / bands, whoever came"
    )
    clip: float = Field(
        default=1.0, gt=0, description="clipping norm C of a unit's gradient; where adaptive clipping starts"
    )
    clipping: Literal["fixed", "adaptive", "per-layer"] = Field(
        default="fixed",
        description="one norm; one that follows a quantile (Andrew et al. 2021); or C / sqrt(L) for each of L parameters",
    )
    quantile: float = Field(default=0.5, gt=0, lt=1, description="adaptive: share of units that should not be clipped")
    clip_rate: float = Field(default=0.2, gt=0, description="adaptive: how fast C follows")
    count_sigma: float | None = Field(
        default=None, gt=0, description="adaptive: noise on the number of unclipped units; by default rate * units / 20"
    )
    noise: Mechanism = Field(default="independent", description="how noise hangs together between steps")
    bands: int = Field(default=1, ge=1, description="groups of units that take turns, one a step (correlated noise)")
    column: tuple[float, ...] = Field(default=(), description="banded: first column of the strategy, of norm 1 at most")
    buffers: tuple[tuple[float, float], ...] = Field(default=(), description="buffered: (scale, decay) of each buffer")
    mode: Mode = Field(default="hooks", description="how gradients of units are found: hooks, fast or ghost")
    max_rows: int = Field(default=1, ge=1, description="rows of one unit; units with more are refused")
    micro_rows: int = Field(default=32, ge=1, description="rows that go through the model at once")

    @model_validator(mode="after")
    def _count_noise(self) -> DpSettings:
        if self.clipping == "adaptive" and self.sigma and 2 * self.counting <= self.sigma:
            raise ValueError(
                f"count_sigma {self.counting:g}: twice it must be above sigma ({self.sigma:g}), or nothing is left for gradients"
            )
        return self

    @model_validator(mode="after")
    def _strategy(self) -> DpSettings:
        if self.noise == "independent" and (self.bands != 1 or self.column or self.buffers):
            raise ValueError("`bands`, `column` and `buffers` belong to correlated noise")
        if self.noise != "independent" and self.clipping == "adaptive":
            raise ValueError("correlated noise needs one clipping norm for all steps: take `fixed` or `per-layer`")
        if self.noise == "banded":
            if len(self.column) != self.bands or not all(c >= 0 for c in self.column) or not self.column[0] > 0:
                raise ValueError("`column` has one number a band, none below 0 and the first above 0")
            if math.fsum(c * c for c in self.column) > 1 + 1e-12:
                raise ValueError("`column` has a norm above 1: a unit would move more than is accounted for")
        if self.noise == "buffered" and (self.rate < 1 or not self.buffers):
            raise ValueError("buffered noise needs `buffers`, and all units of a group in its step: rate 1")
        return self

    @property
    def divisor(self) -> float:
        """What the sum of a step is divided by."""
        return self.rate * self.units / self.bands

    @property
    def counting(self) -> float:
        """Noise on the number of unclipped units."""
        return self.count_sigma or max(self.divisor / 20, self.sigma)

    @property
    def gradient_sigma(self) -> float:
        """Noise on gradients over C. With adaptive clipping, gradients and counts together cost what `sigma` says:
        sigma^-2 = gradient_sigma^-2 + (2 counting)^-2 (Andrew et al. 2021, theorem 1)."""
        if self.clipping != "adaptive" or self.sigma == 0:
            return self.sigma
        return (self.sigma**-2 - (2 * self.counting) ** -2) ** -0.5

    def event(self) -> Event:
        """What the whole run costs."""
        if self.noise == "banded":
            return Event(kind="banded-gaussian", rate=self.rate, sigma=self.sigma, count=self.steps, bands=self.bands)
        if self.noise == "buffered":
            return Event(
                kind="buffered-gaussian", sigma=self.sigma, count=self.steps, bands=self.bands, buffers=self.buffers
            )
        return Event(
            kind="poisson-gaussian" if self.rate < 1 else "gaussian", rate=self.rate, sigma=self.sigma, count=self.steps
        )

    def strategy(self) -> dict[str, Any]:
        """What correlates the noise: another machine may find a strategy that differs in the last digits."""
        return self.model_dump(mode="json", include={"noise", "bands", "column", "buffers", "rate"})

    def digest(self) -> str:
        """Equal for settings whose steps are the same; more steps, and how rows are batched, change none."""
        shaping = self.model_copy(update={"steps": 1, "micro_rows": 1})
        later = (
            {"noise", "bands", "column", "buffers"} if self.noise == "independent" else set()
        )  # as before they were there
        return hashlib.sha256(shaping.model_dump_json(exclude=later).encode()).hexdigest()[:32]
