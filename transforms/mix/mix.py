"""Mixes domains at asked shares into shards that each hold the whole mixture."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from corpusmill.transforms.columns import labels
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.mix._mixing import NO_DOMAIN, Mixing
from corpusmill.transforms.mix.epochs import spread, tempered, uniform


class Mix(Mixing):
    """Repeats and samples the documents of each domain to an asked mixture, and shuffles all of them over the shards.

    Source: temperature as in Raffel et al. 2020 (T5), section 3.5.2; UniMax: Chung et al. 2023, algorithm 1; that up to 4
    epochs are nearly as good as fresh text: Muennighoff et al. 2023, section 5.
    Domain d of size n_d (documents, bytes of text or tokens) gets the share p_d of `budget` B and so e_d = B p_d / n_d
    epochs, at most `max_epochs`; what capped domains leave over goes to the others in proportion to p. p is: `weights`,
    scaled to sum 1; or equal (`unimax`); or min(n, cap)^(1/temperature), which at temperature 1 is the natural mixture.
    Without `budget`, B is the size of all domains of which any is asked. Each document is written floor(e_d) times, and once
    more with probability e_d - floor(e_d); its copies have the same id and `epoch` 0, 1, ... (int32). A document with no
    copy is dropped: `not-sampled`. Documents of an evaluation split are in no domain. Behind the step `split` each is written
    once, whatever its weight, and keeps its split; else they are dropped (`evaluation`): `evaluation-split`. Deduplicate
    before: behind this step, repeats are duplicates. Shard and place of (id, epoch) are keyed draws, so every shard is a
    sample of the whole mixture and the order is one shuffle. A side table `mixture` holds sizes,
    asked and planned shares and epochs of each domain; the funnel counts what was written (`corpusmill show`).

    Raises:
        RecipeError: `weights` leaves a domain unnamed; no document has the column; tokens are asked of text without tokens.

    >>> Mix(weights={"web": 3, "code": 1}).shares(["code", "web"], np.array([10, 10]))
    array([0.25, 0.75])
    """

    name: ClassVar[str] = "mix"
    version: ClassVar[int] = 1
    example: ClassVar[str] = "{temperature: 2.0, max_epochs: 4}"

    by: str = Field("source", min_length=1, description="Column whose values are the domains.")
    weights: dict[str, float] | None = Field(
        None,
        description="Share of each domain, scaled to sum 1; every domain must be named, 0 leaves one out. "
        "The share of a domain without documents goes to the others.",
    )
    temperature: float = Field(
        1.0, gt=0, le=1000, description="Shares in proportion to size^(1/temperature): 1 natural, more is flatter."
    )
    cap: int | None = Field(None, ge=1, description="With temperature: a larger domain counts as of this size.")
    unimax: bool = Field(False, description="Equal shares, as far as `max_epochs` lets small domains have them.")

    @model_validator(mode="after")
    def _one_rule(self) -> Mix:
        rules = [self.weights is not None, self.unimax, self.temperature != 1.0 or self.cap is not None]
        if sum(rules) > 1:
            raise ValueError("`weights`, `unimax` and `temperature` (with `cap`) each set the shares; give one of them")
        given = [1.0] if self.weights is None else list(self.weights.values())
        if any(not 0 <= w < float("inf") for w in given) or not sum(given) > 0:
            raise ValueError("`weights`: shares are numbers from 0, and one at least is above 0")
        return self

    def columns(self) -> tuple[str, ...]:
        return (self.by,)

    def named(self) -> set[str]:
        return set(self.weights or {})

    def shares(self, domains: list[str], sizes: np.ndarray) -> np.ndarray:
        """Asked shares float64 [d] of domains of `sizes`.

        Raises:
            RecipeError: `weights` does not name one of them.
        """
        if self.weights is None:
            return uniform(sizes) if self.unimax else tempered(sizes, self.temperature, self.cap)
        if names := [d for d in domains if d not in self.weights]:
            raise RecipeError(
                f"mix.weights does not name the domain {', '.join(map(repr, names[:5]))}; the domains (values of `{self.by}`) "
                f"are: {', '.join(domains[:20])}. Give each a weight, 0 to leave it out."
            )
        p = np.array([self.weights[d] for d in domains], np.float64)
        return p / p.sum() if p.any() else p

    def plan(self, domains: list[str], sizes: np.ndarray, rarity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shares = self.shares(domains, sizes)
        return shares, self.epochs(sizes, shares)

    def epochs(self, sizes: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Expected epochs float64 [d]."""
        natural = self.weights is None and not self.unimax and self.temperature == 1.0 and self.cap is None
        if natural and (self.budget is None or not sizes.sum()):
            return np.full(len(sizes), min(1.0, self.max_epochs))  # a shuffle, which keeps documents without size, too
        asked = float(sizes[shares > 0].sum()) if self.budget is None else float(self.budget)
        return spread(sizes, shares, asked, self.max_epochs)

    def domains(self, batch: pa.RecordBatch) -> pa.Array:
        if self.by not in batch.schema.names:
            return pa.array([NO_DOMAIN] * batch.num_rows, pa.string())
        return labels(batch, self.by, "mix.by").fill_null(NO_DOMAIN)
