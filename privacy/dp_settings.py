"""Everything public about a private run: what its epsilon and its updates depend on."""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from corpusmill.privacy.accounting import Event

Mode = Literal["hooks", "fast", "ghost"]


class DpSettings(BaseModel):
    """Everything public about a private run: what its epsilon and its updates depend on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(ge=1, description="steps of the whole run")
    rate: float = Field(gt=0, le=1, description="probability with which a unit joins a step")
    sigma: float = Field(ge=0, allow_inf_nan=False, description="noise: its deviation over the clipping norm")
    units: int = Field(
        ge=1, description="the public number of units; the sum of a step is divided by rate * units, whoever came"
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

    @property
    def divisor(self) -> float:
        """What the sum of a step is divided by."""
        return self.rate * self.units

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
        return Event(
            kind="poisson-gaussian" if self.rate < 1 else "gaussian", rate=self.rate, sigma=self.sigma, count=self.steps
        )

    def digest(self) -> str:
        """Equal for settings whose steps are the same; more steps, and how rows are batched, change none."""
        shaping = self.model_copy(update={"steps": 1, "micro_rows": 1})
        return hashlib.sha256(shaping.model_dump_json().encode()).hexdigest()[:32]
