"""The `privacy` section of a training run: what is protected, and what it may cost. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from corpusmill.transforms.settings.section import IsPath, Section


class PrivacySettings(Section):
    """Differentially private training: `privacy: {ledger: out/docs, units: 10000, epsilon: 3}`."""

    ledger: Annotated[str, IsPath()] = Field(
        min_length=1, description="privacy.jsonl of the population, or the folder that it lies in"
    )
    unit: str = Field(default="document", min_length=1, description="unit of privacy: `document`, or the user column")
    units: int = Field(ge=1, description="public number of units; batch.rows / units is the sampling rate of a step")
    epsilon: float | None = Field(
        default=None, gt=0, description="what the ledger may stand at after this run; the noise follows from it"
    )
    sigma: float | None = Field(default=None, gt=0, description="the noise itself, in place of epsilon")
    clip: float = Field(default=1.0, gt=0, description="clipping norm of a unit's gradient")
    clipping: Literal["fixed", "adaptive", "per-layer"] = Field(default="fixed", description="how the norm is set")
    noise: Literal["independent", "banded", "buffered"] = Field(
        default="independent",
        description="correlated noise takes a part back in later steps: by a banded matrix with sampling, or by a few buffers",
    )
    bands: int = Field(
        default=0,
        ge=0,
        description="groups of units that take turns, with correlated noise; 0: the number with the least error",
    )
    average: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="share of the last steps whose weights are averaged to the final model, which costs no privacy",
    )
    mode: Literal["hooks", "fast", "ghost"] = Field(
        default="hooks", description="how gradients of units are found; ghost needs the least memory"
    )
    max_rows: int = Field(default=1, ge=1, description="rows of one unit; units with more are refused")
    what: str = Field(default="private training", description="what the ledger says the run was for")
    allow_uncertified: bool = Field(
        default=False,
        description="train although one unit may change others' rows: the epsilon in the ledger then bounds nothing",
    )

    @model_validator(mode="after")
    def _one_noise(self) -> PrivacySettings:
        if (self.epsilon is None) == (self.sigma is None):
            raise ValueError("give `epsilon` or `sigma`: one follows from the other")
        if self.bands and self.noise == "independent":
            raise ValueError("`bands` belongs to correlated noise: set `noise: banded` or `noise: buffered`")
        if self.noise != "independent" and self.clipping == "adaptive":
            raise ValueError(
                "`clipping: adaptive` does not go with correlated noise, which needs one norm for all steps"
            )
        return self
